/*
 * One JSON value (RFC 8259), read without a tree: first checked whole, then walked from left to right by
 * whoever knows what he looks for. It takes no memory, and that is why it is not jansson: when an allocation
 * fails in the midst of a string, jansson 2.14 can drop a byte of it and go on, so that an address came out
 * as another (seen with its allocator failing at every call in turn); and its trees took more than half of
 * the time to read a million peers.
 *
 * Like json_split.c it goes over the bytes by index, not through a cursor: every byte of a large file passes
 * here twice. What walks behind the check relies on it and only keeps within the bytes.
 */
#include "format/json_value.h"

#include "base/time.h"

#include <peercache/types.h>

#include <assert.h>

#define DEPTH_MAX 64 /* above PC_FORMAT_DEPTH_MAX, which json_split.c has held to already */

/* --- the check --- */

struct check {
    const uint8_t *data;
    size_t size, at;
    const char *wrong; /* NULL: nothing yet */
};

static bool fail(struct check *c, const char *wrong)
{
    c->wrong = wrong;
    return false;
}

static bool is_white(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* 0 at the end, which is no character of JSON. */
static uint8_t peek(const struct check *c)
{
    return c->at < c->size ? c->data[c->at] : 0;
}

static uint8_t peek_behind_white(struct check *c)
{
    while (is_white(peek(c)))
        c->at++;
    return peek(c);
}

/* Bytes of the character that begins here, 0 when it is not valid. */
static size_t utf8_size(const uint8_t *data, size_t size)
{
    uint8_t first = data[0];
    size_t length = first < 0x80   ? 1
                    : first < 0xc2 ? 0
                    : first < 0xe0 ? 2
                    : first < 0xf0 ? 3
                    : first < 0xf5 ? 4
                                   : 0;
    if (length == 0 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((data[i] & 0xc0) != 0x80)
            return 0;
    /* Longer than need be, surrogates, beyond U+10FFFF: the second byte tells. */
    if ((first == 0xe0 && data[1] < 0xa0) || (first == 0xed && data[1] >= 0xa0) ||
        (first == 0xf0 && data[1] < 0x90) || (first == 0xf4 && data[1] >= 0x90))
        return 0;
    return length;
}

bool pc_format_is_utf8(struct pc_bytes text)
{
    for (size_t at = 0; at < text.size;) {
        size_t length = utf8_size(text.data + at, text.size - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

static unsigned hex_digit(uint8_t c)
{
    return is_digit(c)                                ? c - (unsigned)'0'
           : (c | 0x20U) >= 'a' && (c | 0x20U) <= 'f' ? (c | 0x20U) - 'a' + 10
                                                      : 16;
}

/* Four hex digits; over 0xffff when they are not there. */
static uint32_t read_hex4(const uint8_t *data, size_t size)
{
    uint32_t unit = 0;
    if (size < 4)
        return UINT32_MAX;
    for (size_t i = 0; i < 4; i++) {
        unsigned digit = hex_digit(data[i]);
        if (digit > 15)
            return UINT32_MAX;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* The character of an escape behind "\u"; *ret_size of it, a second "\u" of a pair included. 0: not valid. */
static uint32_t read_unicode(const uint8_t *data, size_t size, size_t *ret_size)
{
    uint32_t unit = read_hex4(data, size);
    *ret_size = 4;
    if (unit > 0xffff || (unit >= 0xdc00 && unit <= 0xdfff))
        return 0;
    if (unit < 0xd800 || unit > 0xdfff)
        return unit;
    if (size < 10 || data[4] != '\\' || data[5] != 'u')
        return 0;
    uint32_t low = read_hex4(data + 6, size - 6);
    *ret_size = 10;
    return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((unit - 0xd800) << 10 | (low - 0xdc00)) : 0;
}

static bool check_escape(struct check *c)
{
    size_t size;
    uint8_t kind = peek(c);
    if (kind == 0 || !strchr("\"\\/bfnrtu", kind))
        return fail(c, "not an escape");
    c->at++;
    if (kind != 'u')
        return true;
    if (read_unicode(c->data + c->at, c->size - c->at, &size) == 0)
        return fail(c, "not an escape of a character");
    c->at += size;
    return true;
}

static bool check_string(struct check *c)
{
    if (peek(c) != '"')
        return fail(c, "expected a string");
    for (c->at++; c->at < c->size;) {
        uint8_t byte = c->data[c->at];
        if (byte == '"') {
            c->at++;
            return true;
        }
        if (byte < ' ')
            return fail(c, "a control character within a string");
        if (byte == '\\') {
            c->at++;
            if (!check_escape(c))
                return false;
            continue;
        }
        size_t length = byte < 0x80 ? 1 : utf8_size(c->data + c->at, c->size - c->at);
        if (length == 0)
            return fail(c, "not UTF-8");
        c->at += length;
    }
    return fail(c, "a string is cut short");
}

static bool check_digits(struct check *c)
{
    if (!is_digit(peek(c)))
        return fail(c, "expected a digit");
    while (is_digit(peek(c)))
        c->at++;
    return true;
}

static bool check_number(struct check *c)
{
    c->at += peek(c) == '-';
    if (peek(c) == '0')
        c->at++;
    else if (!check_digits(c))
        return false;
    if (peek(c) == '.') {
        c->at++;
        if (!check_digits(c))
            return false;
    }
    if (peek(c) == 'e' || peek(c) == 'E') {
        c->at++;
        c->at += peek(c) == '+' || peek(c) == '-';
        return check_digits(c);
    }
    return true;
}

static bool check_word(struct check *c, const char *word)
{
    size_t length = strlen(word);
    if (c->size - c->at < length || memcmp(c->data + c->at, word, length) != 0)
        return fail(c, "not a value");
    c->at += length;
    return true;
}

static bool check_value(struct check *c, unsigned depth);

/* What stands between the brackets. */
static bool check_members(struct check *c, bool is_object, unsigned depth)
{
    uint8_t closing = is_object ? '}' : ']';
    c->at++;
    if (peek_behind_white(c) == closing) {
        c->at++;
        return true;
    }
    for (;;) {
        if (is_object) {
            (void)peek_behind_white(c);
            if (!check_string(c))
                return false;
            if (peek_behind_white(c) != ':')
                return fail(c, "expected ':'");
            c->at++;
        }
        if (!check_value(c, depth + 1))
            return false;
        uint8_t next = peek_behind_white(c);
        if (next != ',' && next != closing)
            return fail(c, "expected ',' or a closing bracket");
        c->at++;
        if (next == closing)
            return true;
    }
}

static bool check_value(struct check *c, unsigned depth)
{
    uint8_t first = peek_behind_white(c);
    if (depth > DEPTH_MAX)
        return fail(c, "nested too deeply");
    switch (first) {
    case '{':
    case '[':
        return check_members(c, first == '{', depth);
    case '"':
        return check_string(c);
    case 't':
        return check_word(c, "true");
    case 'f':
        return check_word(c, "false");
    case 'n':
        return check_word(c, "null");
    default:
        return first == '-' || is_digit(first) ? check_number(c) : fail(c, "expected a value");
    }
}

int pc_format_value_check(const uint8_t *data, size_t size, struct pc_reason *ret_reason)
{
    struct check c = { .data = data, .size = size };
    if (check_value(&c, 0) && peek_behind_white(&c) == 0 && c.at == c.size)
        return 0;
    pc_base_reason(ret_reason, "%s at its byte %zu", c.wrong ? c.wrong : "something follows", c.at);
    return PEERCACHE_EPARSE;
}

/* --- the walk --- */

struct pc_value pc_format_value_of(uint8_t *data, size_t size)
{
    return (struct pc_value){ data, size, 0 };
}

static uint8_t next_byte(struct pc_value *value)
{
    while (value->at < value->size && is_white(value->data[value->at]))
        value->at++;
    return value->at < value->size ? value->data[value->at] : 0;
}

uint8_t pc_format_value_kind(struct pc_value *value)
{
    uint8_t first = next_byte(value);
    return first == '-' || is_digit(first) ? '0' : first;
}

/* Behind the closing quotation mark. */
static void skip_string(struct pc_value *value)
{
    for (value->at++; value->at < value->size; value->at++) {
        if (value->data[value->at] == '"')
            break;
        value->at += value->data[value->at] == '\\';
    }
    value->at++;
}

static void skip_scalar(struct pc_value *value)
{
    while (value->at < value->size && !is_white(value->data[value->at]) &&
           !strchr(",]}", value->data[value->at]))
        value->at++;
}

void pc_format_value_skip(struct pc_value *value)
{
    size_t depth = 0;
    do {
        switch (next_byte(value)) {
        case '"':
            skip_string(value);
            break;
        case '{':
        case '[':
            depth++;
            value->at++;
            break;
        case '}':
        case ']':
            depth--;
            value->at++;
            break;
        case ',':
        case ':':
            value->at++;
            break;
        default:
            skip_scalar(value);
        }
    } while (depth > 0);
}

static size_t put_utf8(uint8_t *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xc0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (uint8_t)(0xe0 | c >> 12);
        to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        to[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | c >> 18);
    to[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    to[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    to[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* Behind the backslash. An escape is never shorter than what it stands for. */
static size_t decode_escape(struct pc_value *value, uint8_t *to)
{
    static const char kinds[] = "bfnrt";
    static const char characters[] = "\b\f\n\r\t";
    uint8_t kind = value->data[value->at++];
    if (kind == 'u') {
        size_t size;
        uint32_t c = read_unicode(value->data + value->at, value->size - value->at, &size);
        value->at += size;
        return put_utf8(to, c);
    }
    const char *found = strchr(kinds, kind);
    *to = found ? (uint8_t)characters[found - kinds] : kind;
    return 1;
}

struct pc_bytes pc_format_value_string(struct pc_value *value)
{
    uint8_t first = next_byte(value);
    assert(first == '"');
    (void)first;
    uint8_t *start = value->data + ++value->at;
    uint8_t *to = start;
    while (value->at < value->size && value->data[value->at] != '"') {
        uint8_t byte = value->data[value->at++];
        if (byte == '\\')
            to += decode_escape(value, to);
        else
            *to++ = byte;
    }
    value->at++;
    return pc_bytes_of(start, (size_t)(to - start));
}

bool pc_format_value_integer(struct pc_value *value, int64_t *ret_number)
{
    int64_t number = 0;
    bool is_negative = next_byte(value) == '-';
    value->at += is_negative;
    for (; value->at < value->size && is_digit(value->data[value->at]); value->at++) {
        int64_t digit = value->data[value->at] - '0';
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, is_negative ? -digit : digit, &number))
            number = is_negative ? INT64_MIN : INT64_MAX;
    }
    size_t end = value->at;
    skip_scalar(value);
    if (end != value->at)
        return false;
    *ret_number = number;
    return true;
}

void pc_format_value_enter(struct pc_value *value)
{
    uint8_t c = next_byte(value);
    assert(c == '{' || c == '[');
    (void)c;
    value->at++;
}

bool pc_format_value_next(struct pc_value *value)
{
    uint8_t c = next_byte(value);
    bool is_closing = c == ']' || c == '}';
    value->at += is_closing || c == ',';
    return !is_closing;
}

struct pc_bytes pc_format_value_name(struct pc_value *value)
{
    struct pc_bytes name = pc_format_value_string(value);
    (void)next_byte(value);
    value->at++; /* the colon */
    return name;
}

/* --- times --- */

#define NS_PER_S  1000000000
#define NS_PER_MS 1000000
#define MS_PER_S  1000

static bool is_word(struct pc_bytes text, const char *word)
{
    return pc_bytes_equal(text, pc_bytes_of(word, strlen(word)));
}

static int read_system_time(struct pc_value *value, int64_t *ret_wall_ms)
{
    int64_t s = -1, ns = 0, wall_ms;
    bool is_wrong = false;
    pc_format_value_enter(value);
    while (pc_format_value_next(value)) {
        struct pc_bytes name = pc_format_value_name(value);
        int64_t *part = is_word(name, "secs_since_epoch")    ? &s
                        : is_word(name, "nanos_since_epoch") ? &ns
                                                             : NULL;
        if (part && pc_format_value_kind(value) == '0')
            is_wrong |= !pc_format_value_integer(value, part);
        else {
            is_wrong |= part != NULL;
            pc_format_value_skip(value);
        }
    }
    if (is_wrong || s < 0 || ns < 0 || ns >= NS_PER_S)
        return PEERCACHE_EPARSE;
    if (__builtin_mul_overflow(s, MS_PER_S, &wall_ms))
        wall_ms = INT64_MAX;
    *ret_wall_ms = pc_base_time_add(wall_ms, ns / NS_PER_MS);
    return 0;
}

int pc_format_value_time(struct pc_value *value, int64_t *ret_wall_ms)
{
    int64_t wall_ms;
    uint8_t kind = pc_format_value_kind(value);
    if (kind == '{')
        return read_system_time(value, ret_wall_ms);
    if (kind != '"') {
        pc_format_value_skip(value);
        return PEERCACHE_EPARSE;
    }
    struct pc_bytes text = pc_format_value_string(value);
    if (pc_base_rfc3339_parse((const char *)text.data, text.size, &wall_ms) < 0)
        return PEERCACHE_EPARSE;
    *ret_wall_ms = pc_base_time_max(wall_ms, 0);
    return 0;
}
