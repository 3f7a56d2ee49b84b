/*
 * The general codec: walks the parts in text or bytes and leaves every value to its row of the table
 * (protocol.c). What is valid and canonical follows go-multiaddr 0.16, but for
 * - two limits of ours: the sizes of multiaddr.h and peer_id.h, and no NUL in names and paths;
 * - texts it takes by oversight: keys of onion services that are cut short by padding or line ends or hold
 *   letters beyond ASCII (value_key.c), and padding of base32 with something behind it (base/basex.h).
 */
#include "addr/multiaddr.h"

#include "addr/protocol.h"
#include "addr/quote.h"

#include <peercache/types.h>

/* The text up to the next '/', which is taken too. */
static struct pc_bytes next_token(struct pc_reader *r)
{
    const uint8_t *slash = memchr(r->at, '/', pc_base_reader_left(r));
    if (!slash)
        return pc_base_read_bytes(r, pc_base_reader_left(r));
    struct pc_bytes token = pc_base_read_bytes(r, (size_t)(slash - r->at));
    (void)pc_base_read_u8(r);
    return token;
}

/* What is left, with the '/' before it, which was taken with the last token. */
static struct pc_bytes rest_as_path(struct pc_reader *r)
{
    struct pc_bytes rest = pc_base_read_bytes(r, pc_base_reader_left(r));
    return pc_bytes_of(rest.data - 1, rest.size + 1);
}

static bool is_valid(const struct pc_value_type *type, struct pc_bytes value)
{
    return !type->is_valid || type->is_valid(value);
}

/* One value from text: its bytes, behind their length where the protocol has one. */
static int parse_value(const struct pc_protocol *protocol, struct pc_bytes text, struct pc_writer *w,
                       struct pc_reason *ret_reason)
{
    uint8_t buffer[PC_MULTIADDR_MAX_BYTES];
    struct pc_writer value;
    pc_base_writer_init(&value, buffer, sizeof(buffer));
    int result = protocol->value->read(text, &value);
    struct pc_bytes bytes = pc_bytes_of(buffer, pc_base_writer_size(&value));
    if (result == 0)
        result = value.error;
    if (result == 0 && !is_valid(protocol->value, bytes))
        result = PEERCACHE_EPARSE;
    if (result != 0) {
        if (result == PEERCACHE_ELIMIT)
            pc_base_reason(ret_reason, "%s: %s is too long", protocol->name, pc_addr_quote(text).text);
        else
            pc_base_reason(ret_reason, "%s: %s is not %s", protocol->name, pc_addr_quote(text).text,
                           protocol->value->what);
        return result;
    }
    if (protocol->value->size_bytes == 0)
        pc_base_write_varint(w, bytes.size);
    pc_base_write_bytes(w, bytes.data, bytes.size);
    return 0;
}

int pc_addr_multiaddr_parse(const char *text, size_t length, uint8_t *ret_bytes, size_t capacity,
                            size_t *ret_size, struct pc_reason *ret_reason)
{
    struct pc_reader r;
    struct pc_writer w;
    size_t limit = capacity < PC_MULTIADDR_MAX_BYTES ? capacity : PC_MULTIADDR_MAX_BYTES;
    while (length > 0 && text[length - 1] == '/')
        length--;
    if (length == 0) {
        pc_base_reason(ret_reason, "the address is empty");
        return PEERCACHE_EPARSE;
    }
    pc_base_reader_init(&r, text, length);
    pc_base_writer_init(&w, ret_bytes, limit);
    if (pc_base_read_u8(&r) != '/') {
        pc_base_reason(ret_reason, "%s does not begin with '/'",
                       pc_addr_quote(pc_bytes_of(text, length)).text);
        return PEERCACHE_EPARSE;
    }
    while (pc_base_reader_left(&r) > 0) {
        struct pc_bytes name = next_token(&r);
        const struct pc_protocol *protocol = pc_addr_protocol_by_name(name);
        if (!protocol) {
            pc_base_reason(ret_reason, "%s is not a known protocol", pc_addr_quote(name).text);
            return PEERCACHE_EPARSE;
        }
        pc_base_write_varint(&w, protocol->code);
        if (protocol->value) {
            if (pc_base_reader_left(&r) == 0) {
                pc_base_reason(ret_reason, "%s: the value is missing", protocol->name);
                return PEERCACHE_EPARSE;
            }
            struct pc_bytes value = protocol->value->is_path ? rest_as_path(&r) : next_token(&r);
            int result = parse_value(protocol, value, &w, ret_reason);
            if (result != 0)
                return result;
        }
        if (w.error) {
            pc_base_reason(ret_reason, "the address is longer than %zu bytes", limit);
            return w.error;
        }
    }
    *ret_size = pc_base_writer_size(&w);
    return 0;
}

/* The next part with its row. 1, 0 or EPARSE as pc_addr_multiaddr_next. */
static int next_part(struct pc_bytes *rest, struct pc_multiaddr_part *ret_part,
                     const struct pc_protocol **ret_protocol, struct pc_reason *ret_reason)
{
    struct pc_reader r;
    struct pc_bytes value = { NULL, 0 };
    if (rest->size == 0)
        return 0;
    pc_base_reader_init(&r, rest->data, rest->size);
    uint64_t code = pc_base_read_varint(&r);
    const struct pc_protocol *protocol = pc_addr_protocol_by_code(code);
    if (r.error || !protocol) {
        pc_base_reason(ret_reason, "%llu is not the code of a known protocol", (unsigned long long)code);
        return PEERCACHE_EPARSE;
    }
    if (protocol->value) {
        uint64_t size = protocol->value->size_bytes;
        if (size == 0)
            size = pc_base_read_varint(&r);
        if (r.error || size == 0 || size > pc_base_reader_left(&r)) {
            pc_base_reason(ret_reason, "%s: the value is cut short", protocol->name);
            return PEERCACHE_EPARSE;
        }
        value = pc_base_read_bytes(&r, (size_t)size);
        if (!is_valid(protocol->value, value)) {
            pc_base_reason(ret_reason, "%s: the value is not %s", protocol->name, protocol->value->what);
            return PEERCACHE_EPARSE;
        }
        if (protocol->value->is_path && pc_base_reader_left(&r) > 0) {
            pc_base_reason(ret_reason, "%s: something stands behind the path", protocol->name);
            return PEERCACHE_EPARSE;
        }
    }
    size_t left = pc_base_reader_left(&r);
    *ret_part = (struct pc_multiaddr_part){ protocol->code, value, { rest->data, rest->size - left } };
    *ret_protocol = protocol;
    *rest = pc_bytes_of(rest->data + (rest->size - left), left);
    return 1;
}

int pc_addr_multiaddr_next(struct pc_bytes *rest, struct pc_multiaddr_part *ret_part)
{
    const struct pc_protocol *protocol;
    return next_part(rest, ret_part, &protocol, NULL);
}

/* Every part of an address to text, and the row of the last (NULL: there is none). EPARSE with reason; too
 * little room shows in the writer. */
static int write_parts(struct pc_bytes addr, struct pc_writer *w, const struct pc_protocol **ret_last,
                       struct pc_reason *ret_reason)
{
    struct pc_multiaddr_part part;
    const struct pc_protocol *protocol = NULL;
    int result;
    while ((result = next_part(&addr, &part, &protocol, ret_reason)) > 0) {
        pc_base_write_u8(w, '/');
        pc_base_write_bytes(w, protocol->name, strlen(protocol->name));
        if (protocol->value) {
            if (!protocol->value->is_path)
                pc_base_write_u8(w, '/');
            protocol->value->write(part.value, w);
        }
    }
    *ret_last = protocol;
    return result;
}

int pc_addr_multiaddr_format(struct pc_bytes addr, char *ret_text, size_t capacity,
                             struct pc_reason *ret_reason)
{
    struct pc_writer w;
    const struct pc_protocol *last;
    if (addr.size == 0) {
        pc_base_reason(ret_reason, "the address is empty");
        return PEERCACHE_EPARSE;
    }
    if (addr.size > PC_MULTIADDR_MAX_BYTES) {
        pc_base_reason(ret_reason, "the address is longer than %d bytes", PC_MULTIADDR_MAX_BYTES);
        return PEERCACHE_ELIMIT;
    }
    pc_base_writer_init(&w, ret_text, capacity);
    int result = write_parts(addr, &w, &last, ret_reason);
    if (result != 0)
        return result;
    pc_base_write_u8(&w, '\0');
    if (w.error)
        pc_base_reason(ret_reason, "the address's text is longer than %zu characters", capacity);
    return w.error;
}

int pc_addr_maddr_parse(const char *text, size_t length, struct pc_maddr *ret_addr,
                        struct pc_reason *ret_reason)
{
    struct pc_maddr addr = { 0 };
    size_t size;
    int result = pc_addr_multiaddr_parse(text, length, addr.bytes, sizeof(addr.bytes), &size, ret_reason);
    if (result != 0)
        return result;
    addr.size = (uint16_t)size;
    *ret_addr = addr;
    return 0;
}

/* Copy what is known to be valid. ELIMIT. */
static int copy_in(struct pc_bytes bytes, struct pc_maddr *ret_addr)
{
    if (bytes.size > PC_MADDR_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    *ret_addr = (struct pc_maddr){ .size = (uint16_t)bytes.size };
    if (bytes.size > 0)
        memcpy(ret_addr->bytes, bytes.data, bytes.size);
    return 0;
}

int pc_addr_maddr_from_bytes(struct pc_bytes bytes, struct pc_maddr *ret_addr)
{
    struct pc_bytes rest = bytes;
    struct pc_multiaddr_part part;
    int result;
    if (bytes.size == 0)
        return PEERCACHE_EPARSE;
    if (bytes.size > PC_MADDR_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    while ((result = pc_addr_multiaddr_next(&rest, &part)) > 0)
        ;
    return result != 0 ? result : copy_in(bytes, ret_addr);
}

int pc_addr_multiaddr_split(struct pc_bytes addr, struct pc_maddr *ret_addr, struct pc_peer_id *ret_id)
{
    struct pc_bytes rest = addr;
    struct pc_multiaddr_part part = { 0 };
    struct pc_peer_id id = { 0 };
    int result;
    while ((result = pc_addr_multiaddr_next(&rest, &part)) > 0)
        ;
    if (result != 0)
        return result;
    if (part.code == PC_MA_P2P) {
        result = pc_addr_peer_id_from_bytes(part.value, &id);
        if (result != 0)
            return result;
        addr.size -= part.whole.size;
    }
    result = copy_in(addr, ret_addr);
    if (result == 0)
        *ret_id = id;
    return result;
}

int pc_addr_format_with_id(struct pc_bytes addr, const struct pc_peer_id *id, char *ret_text, size_t capacity)
{
    struct pc_writer w;
    const struct pc_protocol *last;
    pc_base_writer_init(&w, ret_text, capacity);
    int result = write_parts(addr, &w, &last, NULL);
    if (result != 0)
        return result;
    if (id->size > 0) {
        if (last && last->value && last->value->is_path)
            return PEERCACHE_EPARSE;
        char text[PC_PEER_ID_TEXT_BYTES];
        pc_addr_peer_id_format(id, text);
        pc_base_write_bytes(&w, "/p2p/", 5);
        pc_base_write_bytes(&w, text, strlen(text));
    }
    pc_base_write_u8(&w, '\0');
    return w.error;
}
