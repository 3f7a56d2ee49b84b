/*
 * Reading: sniffs the first byte that is no white space, then cuts the document into entries (json_split.c,
 * line_split.c), has each read alone (entry.c), and gathers what they give into items and the summary.
 *
 *   SNIFF ──'{'──► JSON        the first element of peers decides which of the formats it is:
 *     └───else───► TEXT          of an array:  { list   [ ant-v1   " endpoint
 *                                of an object: { map    [ ant-v0
 *                              Bootstrap is kubo's. Without elements the head decides.
 *
 * TEXT stays in doubt until a line begins with '/': without one within PC_FORMAT_DOUBT_MAX_BYTES, or with a
 * line that no text has, the document is neither.
 */
#include "format/format.h"

#include "addr/quote.h"
#include "format/entry.h"
#include "format/json_split.h"
#include "format/line_split.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum phase {
    SNIFF,
    JSON,
    TEXT,
};

/* The members of the top object that we know; a bit each in `seen`. */
enum member {
    PEERS,
    BOOTSTRAP,
    LAST_UPDATED,
    NETWORK_VERSION,
    CACHE_VERSION,
    METADATA,
    OWN,
    MEMBER_COUNT,
};

static const char *const member_names[MEMBER_COUNT] = {
    [PEERS] = "peers",
    [BOOTSTRAP] = "Bootstrap",
    [LAST_UPDATED] = "last_updated",
    [NETWORK_VERSION] = "network_version",
    [CACHE_VERSION] = "cache_version",
    [METADATA] = "metadata",
    [OWN] = "peercache",
};

struct pc_format_reader {
    enum pc_format wanted;
    bool head_only;
    struct pc_format_visitor visitor;
    struct pc_format_summary summary;
    int error;
    struct pc_reason error_text;
    enum phase phase;
    uint64_t offset, line; /* of what was sniffed */
    unsigned bom_bytes;
    struct pc_json_split json;
    struct pc_line_split lines;
    enum member member; /* at hand */
    unsigned seen;
    bool is_text_sure;
    struct pc_format_place place; /* of the entry at hand */
    struct pc_format_item item;   /* not yet given to the visitor */
};

/* --- errors --- */

static int fail_at(struct pc_format_reader *reader, int error, const struct pc_format_place *place,
                   const char *what)
{
    pc_base_reason(&reader->error_text, "line %" PRIu64 ", byte %" PRIu64 ": %s", place->line, place->offset,
                   what);
    return error;
}

/* Where the document's format shows itself as another than was asked for, or none. */
static int fail_format(struct pc_format_reader *reader, enum pc_format is)
{
    pc_base_reason(&reader->error_text, "this is %s, not %s", pc_format_name(is),
                   pc_format_name(reader->wanted));
    return PEERCACHE_EFORMAT;
}

/* --- items --- */

static int emit(struct pc_format_reader *reader)
{
    struct pc_format_item *item = &reader->item;
    int r = 0;
    if (item->record.addr_count == 0)
        return 0;
    reader->summary.read += item->record.addr_count;
    reader->summary.accepted += item->record.addr_count;
    if (reader->visitor.record)
        r = reader->visitor.record(reader->visitor.context, item);
    item->record.addr_count = 0;
    return r;
}

static bool belongs_to_item(struct pc_format_item *item, const struct pc_format_found *found)
{
    struct pc_record *record = &item->record;
    return record->addr_count > 0 && record->addr_count < PEERCACHE_ADDRS_PER_PEER && found->id.size > 0 &&
           pc_addr_peer_id_equal(&record->id, &found->id) && item->has_state == found->has_state &&
           record->state == found->state && record->bucket == found->bucket;
}

static bool item_holds(const struct pc_record *record, struct pc_bytes addr)
{
    for (size_t i = 0; i < record->addr_count; i++)
        if (pc_bytes_equal(pc_addr_maddr_bytes(&record->addrs[i].addr), addr))
            return true;
    return false;
}

static int take_found(void *context, const struct pc_format_found *found)
{
    struct pc_format_reader *reader = context;
    struct pc_format_item *item = &reader->item;
    struct pc_record *record = &item->record;
    if (!belongs_to_item(item, found) || item_holds(record, pc_addr_maddr_bytes(&found->addr.addr))) {
        int r = emit(reader);
        if (r != 0)
            return r;
        pc_cache_record_init(record, &found->id);
        item->has_state = found->has_state;
        record->state = found->state;
        record->bucket = found->bucket;
    }
    item->places[record->addr_count] = reader->place;
    record->addrs[record->addr_count++] = found->addr;
    return 0;
}

static int reject(struct pc_format_reader *reader, const struct pc_format_place *place,
                  enum pc_format_refusal refusal, const char *detail)
{
    struct pc_format_summary *summary = &reader->summary;
    struct pc_format_rejection rejection = { .refusal = refusal, .place = *place };
    bool is_first = summary->rejected == 0;
    summary->rejected++;
    summary->reasons[refusal]++;
    if (!is_first && !reader->visitor.rejected)
        return 0;
    pc_base_reason(&rejection.text, "line %" PRIu64 ", entry %" PRIu64 " (byte %" PRIu64 "): %s: %s",
                   place->line, place->entry, place->offset, pc_format_refusal_name(refusal), detail);
    if (is_first)
        summary->first = rejection;
    return reader->visitor.rejected ? reader->visitor.rejected(reader->visitor.context, &rejection) : 0;
}

static int take_refused(void *context, enum pc_format_refusal refusal, const char *detail)
{
    struct pc_format_reader *reader = context;
    reader->summary.read++;
    return reject(reader, &reader->place, refusal, detail);
}

int pc_format_reader_refuse(struct pc_format_reader *reader, const struct pc_format_item *item, size_t addr,
                            enum pc_format_refusal refusal, const char *detail)
{
    assert(addr < item->record.addr_count && reader->summary.accepted > 0);
    reader->summary.accepted--;
    return reject(reader, &item->places[addr], refusal, detail);
}

static struct pc_format_sink sink_of(struct pc_format_reader *reader)
{
    return (struct pc_format_sink){ take_found, take_refused, reader };
}

/* Only in `list` do entries of one peer belong together. */
static int end_entry(struct pc_format_reader *reader)
{
    return reader->summary.format == PC_FORMAT_LIST ? 0 : emit(reader);
}

/* --- JSON: the head --- */

static enum member member_of(struct pc_bytes name)
{
    unsigned i = 0;
    while (i < MEMBER_COUNT && !pc_bytes_equal(name, pc_bytes_of(member_names[i], strlen(member_names[i]))))
        i++;
    return (enum member)i;
}

static bool has_seen(const struct pc_format_reader *reader, enum member member)
{
    return (reader->seen & 1U << member) != 0;
}

static int take_member(void *context, uint8_t *name, size_t size, enum pc_json_wish *ret_wish,
                       size_t *ret_limit_bytes)
{
    struct pc_format_reader *reader = context;
    struct pc_reason reason;
    struct pc_value value = pc_format_value_of(name, size);
    if (pc_format_value_check(name, size, &reason) < 0)
        return pc_format_json_fail(&reader->json, PEERCACHE_EPARSE, reason.text);
    enum member member = member_of(pc_format_value_string(&value));
    bool skips_bootstrap = reader->wanted != PC_FORMAT_UNKNOWN && reader->wanted != PC_FORMAT_KUBO;
    *ret_wish = PC_JSON_SKIP;
    reader->member = member;
    if (member == MEMBER_COUNT || (member == PEERS && reader->wanted == PC_FORMAT_KUBO) ||
        (member == BOOTSTRAP && skips_bootstrap))
        return 0;
    if (has_seen(reader, member)) {
        pc_base_reason(&reason, "twice: %s", member_names[member]);
        return pc_format_json_fail(&reader->json, PEERCACHE_EPARSE, reason.text);
    }
    reader->seen |= 1U << member;
    if (has_seen(reader, PEERS) && has_seen(reader, BOOTSTRAP))
        return pc_format_json_fail(&reader->json, PEERCACHE_EFORMAT, "both peers and Bootstrap are there");
    if (member == PEERS || member == BOOTSTRAP) {
        *ret_wish = PC_JSON_OPEN;
        *ret_limit_bytes = reader->head_only ? 0 : PC_FORMAT_ELEMENT_MAX_BYTES;
        if (member == BOOTSTRAP)
            reader->summary.format = PC_FORMAT_KUBO;
        return 0;
    }
    *ret_wish = PC_JSON_KEEP;
    *ret_limit_bytes = member == OWN ? PC_FORMAT_OWN_MAX_BYTES : PC_FORMAT_MEMBER_MAX_BYTES;
    return 0;
}

/* A short text without control characters. */
static bool read_word(struct pc_value *value, char ret_word[PC_FORMAT_WORD_BYTES])
{
    if (pc_format_value_kind(value) != '"')
        return false;
    struct pc_bytes text = pc_format_value_string(value);
    if (text.size >= PC_FORMAT_WORD_BYTES)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < ' ')
            return false;
    memcpy(ret_word, text.data, text.size);
    ret_word[text.size] = '\0';
    return true;
}

/* What is no time counts as none. */
static void read_last_updated(struct pc_format_reader *reader, struct pc_value *value)
{
    struct pc_format_summary *summary = &reader->summary;
    if (pc_format_value_time(value, &summary->last_updated_ms) == 0)
        summary->has_last_updated = true;
}

static void read_metadata(struct pc_format_reader *reader, struct pc_value *value)
{
    if (pc_format_value_kind(value) != '{')
        return;
    pc_format_value_enter(value);
    while (pc_format_value_next(value)) {
        if (member_of(pc_format_value_name(value)) == LAST_UPDATED)
            read_last_updated(reader, value);
        else
            pc_format_value_skip(value);
    }
}

static int take_own(struct pc_format_reader *reader, const struct pc_json_piece *piece)
{
    struct pc_bytes json = pc_bytes_of(piece->text, piece->size);
    if (piece->first != '{')
        return fail_at(reader, PEERCACHE_EPARSE, &piece->place, "peercache is no object");
    reader->summary.has_own = true;
    return reader->visitor.own ? reader->visitor.own(reader->visitor.context, json) : 0;
}

/* kubo writes null for an empty Bootstrap. */
static int take_no_entries(struct pc_format_reader *reader, const struct pc_json_piece *piece)
{
    if (reader->member == PEERS)
        return fail_at(reader, PEERCACHE_EFORMAT, &piece->place, "peers is neither an array nor an object");
    return piece->first == 'n' ? 0
                               : fail_at(reader, PEERCACHE_EFORMAT, &piece->place, "Bootstrap is no array");
}

/* The value of a member of the head. Which network a file is of is never guessed: one that can't be read
 * ends the reading. */
static int take_head_value(struct pc_format_reader *reader, const struct pc_json_piece *piece)
{
    struct pc_format_summary *summary = &reader->summary;
    struct pc_value value = pc_format_value_of(piece->text, piece->size);
    switch (reader->member) {
    case NETWORK_VERSION:
        if (!read_word(&value, summary->network_version))
            return fail_at(reader, PEERCACHE_EPARSE, &piece->place, "network_version is no short text");
        summary->has_network_version = true;
        return 0;
    case CACHE_VERSION:
        if (!read_word(&value, summary->cache_version))
            return fail_at(reader, PEERCACHE_EPARSE, &piece->place, "cache_version is no short text");
        return 0;
    case LAST_UPDATED:
        read_last_updated(reader, &value);
        return 0;
    case METADATA:
        read_metadata(reader, &value);
        return 0;
    case OWN:
        return take_own(reader, piece);
    case BOOTSTRAP:
    case PEERS:
    case MEMBER_COUNT:
        break;
    }
    return 0;
}

static int take_head(struct pc_format_reader *reader, const struct pc_json_piece *piece)
{
    struct pc_reason reason;
    if (reader->member == PEERS || reader->member == BOOTSTRAP)
        return take_no_entries(reader, piece);
    if (piece->is_too_long && (reader->member == METADATA || reader->member == LAST_UPDATED))
        return 0; /* somebody's long description */
    if (piece->is_too_long)
        return fail_at(reader, PEERCACHE_ELIMIT, &piece->place, "a member of the head is too long");
    if (pc_format_value_check(piece->text, piece->size, &reason) < 0)
        return fail_at(reader, PEERCACHE_EPARSE, &piece->place, reason.text);
    return take_head_value(reader, piece);
}

/* --- JSON: the entries --- */

static enum pc_format format_of_element(bool is_member, uint8_t first)
{
    if (is_member)
        return first == '{' ? PC_FORMAT_MAP : first == '[' ? PC_FORMAT_ANT_V0 : PC_FORMAT_UNKNOWN;
    return first == '{'   ? PC_FORMAT_LIST
           : first == '[' ? PC_FORMAT_ANT_V1
           : first == '"' ? PC_FORMAT_ENDPOINT
                          : PC_FORMAT_UNKNOWN;
}

static int decide_format(struct pc_format_reader *reader, enum pc_format format)
{
    if (reader->wanted != PC_FORMAT_UNKNOWN && format != PC_FORMAT_UNKNOWN && format != reader->wanted)
        return fail_format(reader, format);
    reader->summary.format = format;
    return 0;
}

static int take_piece(void *context, const struct pc_json_piece *piece)
{
    struct pc_format_reader *reader = context;
    struct pc_format_summary *summary = &reader->summary;
    int r = 0;
    if (!piece->is_element)
        return take_head(reader, piece);
    if (reader->member == BOOTSTRAP && piece->is_member)
        return fail_at(reader, PEERCACHE_EFORMAT, &piece->place, "Bootstrap is no array");
    summary->entries++;
    reader->place = piece->place;
    if (summary->format == PC_FORMAT_UNKNOWN)
        r = decide_format(reader, format_of_element(piece->is_member, piece->first));
    if (r < 0 || reader->head_only)
        return r;
    if (piece->is_too_long) {
        r = take_refused(reader, PC_FORMAT_TOO_LONG, "an entry");
    } else {
        struct pc_format_sink sink = sink_of(reader);
        r = pc_format_entry_read(summary->format, piece->text, piece->size, &sink);
    }
    return r != 0 ? r : end_entry(reader);
}

/* Of a document without elements. */
static enum pc_format format_of_head(const struct pc_format_reader *reader)
{
    if (reader->wanted != PC_FORMAT_UNKNOWN)
        return reader->wanted;
    if (reader->json.is_object[2])
        return has_seen(reader, NETWORK_VERSION) ? PC_FORMAT_ANT_V0 : PC_FORMAT_MAP;
    if (has_seen(reader, NETWORK_VERSION) || has_seen(reader, CACHE_VERSION))
        return PC_FORMAT_ANT_V1;
    return has_seen(reader, METADATA) || !(has_seen(reader, LAST_UPDATED) || has_seen(reader, OWN))
               ? PC_FORMAT_ENDPOINT
               : PC_FORMAT_LIST;
}

static int finish_json(struct pc_format_reader *reader)
{
    int r = pc_format_json_finish(&reader->json);
    if (r == 0 && !has_seen(reader, PEERS) && !has_seen(reader, BOOTSTRAP)) {
        pc_base_reason(&reader->error_text, "a JSON object without %s",
                       reader->wanted == PC_FORMAT_UNKNOWN ? "peers and Bootstrap"
                       : reader->wanted == PC_FORMAT_KUBO  ? "Bootstrap"
                                                           : "peers");
        return PEERCACHE_EFORMAT;
    }
    if (r == 0 && reader->summary.format == PC_FORMAT_UNKNOWN)
        reader->summary.format = format_of_head(reader);
    return r;
}

/* --- text --- */

static bool is_of_no_text(struct pc_bytes line)
{
    if (memchr("<[\"{", line.data[0], 4) || line.data[0] >= 0x80)
        return true;
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] < ' ' && line.data[i] != '\t')
            return true;
    return false;
}

/* A line that does not end is of a device or a sparse file, and would be read for ever. */
static int judge_length(struct pc_format_reader *reader, uint64_t size, uint64_t offset, uint64_t line)
{
    struct pc_format_place place = { offset, line, 0 };
    bool is_in_doubt = reader->wanted == PC_FORMAT_UNKNOWN && !reader->is_text_sure;
    if (is_in_doubt && size > PC_FORMAT_DOUBT_MAX_BYTES)
        return fail_at(reader, PEERCACHE_EFORMAT, &place, "neither a JSON object nor lines of multiaddrs");
    return size > PC_FORMAT_LINE_SKIP_MAX_BYTES
               ? fail_at(reader, PEERCACHE_ELIMIT, &place, "a line without an end")
               : 0;
}

static int take_line(void *context, const struct pc_line *line)
{
    struct pc_format_reader *reader = context;
    struct pc_format_sink sink = sink_of(reader);
    int r = judge_length(reader, line->size, line->offset, line->line);
    struct pc_format_place place = { line->offset, line->line, 0 };
    bool is_in_doubt = reader->wanted == PC_FORMAT_UNKNOWN && !reader->is_text_sure;
    if (r != 0 || line->text.size == 0 || line->text.data[0] == '#')
        return r;
    if (reader->summary.entries == PC_FORMAT_ENTRIES_MAX)
        return fail_at(reader, PEERCACHE_ELIMIT, &place, "more entries than one document may hold");
    if (line->text.data[0] == '/')
        reader->is_text_sure = true;
    else if (is_in_doubt && (is_of_no_text(line->text) || line->offset >= PC_FORMAT_DOUBT_MAX_BYTES))
        return fail_at(reader, PEERCACHE_EFORMAT, &place, "neither a JSON object nor lines of multiaddrs");
    place.entry = ++reader->summary.entries;
    reader->place = place;
    if (reader->head_only)
        return 0;
    if (line->is_too_long)
        r = take_refused(reader, PC_FORMAT_TOO_LONG, pc_addr_quote(line->text).text);
    else
        r = pc_format_line_read(line->text, &sink);
    return r != 0 ? r : end_entry(reader);
}

static int finish_text(struct pc_format_reader *reader)
{
    int r = pc_format_lines_finish(&reader->lines);
    if (r != 0 || reader->wanted == PC_FORMAT_TEXT || reader->is_text_sure || reader->summary.entries == 0)
        return r;
    pc_base_reason(&reader->error_text, "neither a JSON object nor lines of multiaddrs");
    return PEERCACHE_EFORMAT;
}

/* --- the first bytes --- */

static const uint8_t bom[] = { 0xef, 0xbb, 0xbf }; /* of UTF-8 */

static int begin_text(struct pc_format_reader *reader)
{
    reader->phase = TEXT;
    reader->summary.format = PC_FORMAT_TEXT;
    reader->lines = (struct pc_line_split){
        .visit = take_line, .context = reader, .offset = reader->offset, .line = reader->line
    };
    if (reader->bom_bytes == 0 || reader->bom_bytes == sizeof(bom))
        return 0;
    /* It only began like one. */
    reader->lines.offset = 0;
    return pc_format_lines_feed(&reader->lines, pc_bytes_of(bom, reader->bom_bytes));
}

static int begin_json(struct pc_format_reader *reader)
{
    struct pc_json_visitor visitor = { take_member, take_piece, reader };
    reader->phase = JSON;
    pc_format_json_init(&reader->json, &visitor);
    reader->json.base = reader->offset;
    reader->json.line = reader->line;
    return 0;
}

static int begin(struct pc_format_reader *reader, uint8_t first)
{
    struct pc_format_place place = { reader->offset, reader->line, 0 };
    bool is_text = reader->wanted == PC_FORMAT_TEXT || (reader->wanted == PC_FORMAT_UNKNOWN && first != '{');
    if (is_text)
        return begin_text(reader);
    if (first != '{')
        return fail_at(reader, PEERCACHE_EFORMAT, &place, "not a JSON object");
    return begin_json(reader);
}

/* Past a byte order mark and white space; the rest of the piece is given back. */
static int sniff(struct pc_format_reader *reader, struct pc_bytes *piece)
{
    while (piece->size > 0) {
        uint8_t c = piece->data[0];
        bool is_mark = reader->offset == reader->bom_bytes && reader->bom_bytes < sizeof(bom) &&
                       c == bom[reader->bom_bytes];
        bool is_cut_mark = !is_mark && reader->bom_bytes > 0 && reader->bom_bytes < sizeof(bom);
        bool is_white = c == ' ' || (c >= '\t' && c <= '\r');
        if (is_cut_mark || (!is_mark && !is_white))
            return begin(reader, is_cut_mark ? bom[0] : c);
        reader->bom_bytes += is_mark;
        reader->line += c == '\n';
        reader->offset++;
        *piece = pc_bytes_of(piece->data + 1, piece->size - 1);
    }
    return 0;
}

/* --- the reader --- */

int pc_format_reader_new(const struct pc_format_options *options, struct pc_format_reader **ret_reader)
{
    struct pc_format_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return PEERCACHE_ENOMEM;
    reader->wanted = options->format;
    reader->head_only = options->head_only;
    reader->visitor = options->visitor;
    reader->line = 1;
    *ret_reader = reader;
    return 0;
}

void pc_format_reader_free(struct pc_format_reader *reader)
{
    if (!reader)
        return;
    pc_format_json_deinit(&reader->json);
    pc_format_lines_deinit(&reader->lines);
    free(reader);
}

/* What came whole before an error counts. */
static int settle(struct pc_format_reader *reader, int r)
{
    if (r == 0)
        return 0;
    if (reader->error_text.text[0] == '\0')
        reader->error_text = reader->json.error;
    if (reader->error_text.text[0] == '\0' && r == PEERCACHE_ENOMEM)
        pc_base_reason(&reader->error_text, "out of memory");
    int r_emit = emit(reader);
    reader->error = r_emit != 0 ? r_emit : r;
    return reader->error;
}

static int feed_text(struct pc_format_reader *reader, struct pc_bytes piece)
{
    int r = pc_format_lines_feed(&reader->lines, piece);
    return r != 0 ? r : judge_length(reader, reader->lines.size, reader->lines.offset, reader->lines.line);
}

int pc_format_reader_feed(struct pc_format_reader *reader, struct pc_bytes piece)
{
    int r = 0;
    if (reader->error)
        return reader->error;
    if (reader->phase == SNIFF)
        r = sniff(reader, &piece);
    if (r == 0 && piece.size > 0 && reader->phase == JSON)
        r = pc_format_json_feed(&reader->json, piece);
    else if (r == 0 && piece.size > 0 && reader->phase == TEXT)
        r = feed_text(reader, piece);
    return settle(reader, r);
}

static int finish_sniffing(struct pc_format_reader *reader)
{
    struct pc_format_place place = { reader->offset, reader->line, 0 };
    if (reader->wanted != PC_FORMAT_UNKNOWN && reader->wanted != PC_FORMAT_TEXT)
        return fail_at(reader, PEERCACHE_EPARSE, &place, "the document is empty");
    return begin_text(reader);
}

int pc_format_reader_finish(struct pc_format_reader *reader)
{
    int r = 0;
    if (reader->error)
        return reader->error;
    if (reader->phase == SNIFF)
        r = finish_sniffing(reader);
    if (r == 0)
        r = reader->phase == JSON ? finish_json(reader) : finish_text(reader);
    r = settle(reader, r);
    return r != 0 ? r : settle(reader, emit(reader));
}

const char *pc_format_reader_errmsg(const struct pc_format_reader *reader)
{
    return reader->error_text.text;
}

const struct pc_format_summary *pc_format_reader_summary(const struct pc_format_reader *reader)
{
    return &reader->summary;
}
