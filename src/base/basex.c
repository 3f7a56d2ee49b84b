/*
 * Two algorithms serve every base. A base of 2^n digits moves n bits a character through an accumulator (RFC
 * 4648). The others (36, 58) are one large number in another radix: multiply by the radix, add the digit,
 * with leading zero bytes written as leading zero digits, one each. Large caches are full of them: so as many digits as
 * a word holds go into the number, and come out of it, at once.
 */
#include "base/basex.h"

#include "base/cursor.h"

#include <peercache/types.h>

#include <stdbool.h>
#include <string.h>

/* The digits of MAX_BYTES in radix 36, the smaller one: ceil(128 * 8 / log2(36)) = 199, and room. */
#define MAX_DIGITS 208

struct base {
    const char *digits;
    uint8_t radix;
    uint8_t bits; /* a digit, when the radix is a power of two; 0: positional */
    bool folds;   /* either case is accepted; digits are lower case */
};

static const struct base base2 = { "01", 2, 1, false };
static const struct base base16 = { "0123456789abcdef", 16, 4, true };
static const struct base base32 = { "abcdefghijklmnopqrstuvwxyz234567", 32, 5, true };
static const struct base base32hex = { "0123456789abcdefghijklmnopqrstuv", 32, 5, true };
static const struct base base36 = { "0123456789abcdefghijklmnopqrstuvwxyz", 36, 0, true };
static const struct base base58 = { "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 58, 0,
                                    false };
static const struct base base58flickr = { "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ", 58, 0,
                                          false };
static const struct base base64 = { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 64, 6,
                                    false };
static const struct base base64url = { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 64,
                                       6, false };
static const struct base base32i2p = { "abcdefghijklmnopqrstuvwxyz234567", 32, 5, false };
static const struct base base64i2p = { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~", 64,
                                       6, false };

/* The value of a digit, -1 for any other character. */
static int digit_value(const struct base *base, uint8_t character)
{
    if (base->folds && character >= 'A' && character <= 'Z')
        character = (uint8_t)(character - 'A' + 'a');
    const char *at = memchr(base->digits, character, base->radix);
    return at ? (int)(at - base->digits) : -1;
}

static int bits_encode(const struct base *base, const uint8_t *data, size_t size, char *ret_text,
                       size_t capacity)
{
    if (size > SIZE_MAX / 8 - 8 || (size * 8 + base->bits - 1) / base->bits >= capacity)
        return PEERCACHE_ELIMIT;
    uint32_t held = 0;
    unsigned held_bits = 0;
    for (size_t i = 0; i < size; i++) {
        held = held << 8 | data[i];
        held_bits += 8;
        while (held_bits >= base->bits) {
            held_bits -= base->bits;
            *ret_text++ = base->digits[held >> held_bits & (base->radix - 1u)];
        }
        held &= (1u << held_bits) - 1;
    }
    if (held_bits > 0)
        *ret_text++ = base->digits[held << (base->bits - held_bits) & (base->radix - 1u)];
    *ret_text = '\0';
    return 0;
}

/* What a decoder of bits forgives. */
struct leniency {
    bool line_ends;    /* \r and \n are skipped */
    bool padding_bits; /* the bits after the last whole byte may be set */
    bool left_over;    /* characters that make no whole byte drop their quantum (only of base32) */
};

static int bits_decode(const struct base *base, const char *text, size_t length, struct leniency lenient,
                       uint8_t *ret_data, size_t capacity, size_t *ret_size)
{
    struct pc_reader r;
    struct pc_writer w;
    uint32_t held = 0;
    /* Base2 alone is aligned at its end: a first byte cut short has leading zeroes. */
    unsigned held_bits = base->bits == 1 ? (unsigned)(8 - length % 8) % 8 : 0;
    size_t quantum = 0;       /* characters since the last boundary between characters and bytes */
    size_t quantum_start = 0; /* bytes written before it */
    pc_base_reader_init(&r, text, length);
    pc_base_writer_init(&w, ret_data, capacity);
    while (pc_base_reader_left(&r) > 0) {
        uint8_t character = pc_base_read_u8(&r);
        if (lenient.line_ends && (character == '\r' || character == '\n'))
            continue;
        int value = digit_value(base, character);
        if (value < 0)
            return PEERCACHE_EPARSE;
        held = held << base->bits | (uint32_t)value;
        held_bits += base->bits;
        quantum++;
        if (held_bits >= 8) {
            held_bits -= 8;
            pc_base_write_u8(&w, (uint8_t)(held >> held_bits));
            held &= (1u << held_bits) - 1;
        }
        if (held_bits == 0) {
            quantum = 0;
            quantum_start = pc_base_writer_size(&w);
        }
    }
    size_t size = pc_base_writer_size(&w);
    /* Left-over bits that would have filled a character: the last character says nothing. */
    if (quantum > 0 && held_bits >= base->bits) {
        if (!lenient.left_over)
            return PEERCACHE_EPARSE;
        size = quantum_start;
    } else if (held != 0 && !lenient.padding_bits) {
        return PEERCACHE_EPARSE;
    }
    if (w.error)
        return w.error;
    *ret_size = size;
    return 0;
}

/* A number in words of 32 bits, least significant first. */
struct number {
    uint32_t words[PC_BASE_BASEX_MAX_BYTES / sizeof(uint32_t)];
    size_t used;
};

/* number * factor + addend. False: it has no room for it. */
static bool multiply_add(struct number *number, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;
    for (size_t i = 0; i < number->used; i++) {
        carry += (uint64_t)number->words[i] * factor; /* (2^32 - 1)^2 + 2^32 - 1 fits */
        number->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry == 0)
        return true;
    if (number->used == sizeof(number->words) / sizeof(number->words[0]))
        return false;
    number->words[number->used++] = (uint32_t)carry;
    return true;
}

static uint8_t byte_of(const struct number *number, size_t at)
{
    return (uint8_t)(number->words[at / sizeof(uint32_t)] >> at % sizeof(uint32_t) * 8);
}

static size_t size_of(const struct number *number)
{
    size_t size = number->used * sizeof(uint32_t);
    while (size > 0 && byte_of(number, size - 1) == 0)
        size--;
    return size;
}

/* The radix to as many digits as a word holds. */
static uint32_t group_factor(const struct base *base)
{
    uint32_t factor = base->radix;
    while (factor <= UINT32_MAX / base->radix)
        factor *= base->radix;
    return factor;
}

static struct number number_of(const uint8_t *data, size_t size)
{
    struct number number = { .used = (size + sizeof(uint32_t) - 1) / sizeof(uint32_t) };
    for (size_t i = 0; i < size; i++)
        number.words[i / sizeof(uint32_t)] |= (uint32_t)data[size - 1 - i] << i % sizeof(uint32_t) * 8;
    return number;
}

/* number / divisor, and what is left. */
static uint32_t divide(struct number *number, uint32_t divisor)
{
    uint64_t rest = 0;
    for (size_t i = number->used; i-- > 0;) {
        rest = rest << 32 | number->words[i];
        number->words[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    while (number->used && number->words[number->used - 1] == 0)
        number->used--;
    return (uint32_t)rest;
}

static int radix_encode(const struct base *base, const uint8_t *data, size_t size, char *ret_text,
                        size_t capacity)
{
    uint8_t digits[MAX_DIGITS]; /* least significant first */
    size_t used = 0;
    size_t zeros = 0;
    if (size > PC_BASE_BASEX_MAX_BYTES)
        return PEERCACHE_ELIMIT;
    while (zeros < size && data[zeros] == 0)
        zeros++;
    struct number number = number_of(data + zeros, size - zeros);
    while (number.used > 0) {
        uint32_t held = divide(&number, group_factor(base));
        for (uint32_t factor = group_factor(base); factor > 1 && (number.used > 0 || held > 0);
             factor /= base->radix) {
            digits[used++] = (uint8_t)(held % base->radix);
            held /= base->radix;
        }
    }
    if (zeros + used >= capacity)
        return PEERCACHE_ELIMIT;
    memset(ret_text, base->digits[0], zeros);
    for (size_t i = 0; i < used; i++)
        ret_text[zeros + i] = base->digits[digits[used - 1 - i]];
    ret_text[zeros + used] = '\0';
    return 0;
}

static int radix_decode(const struct base *base, const char *text, size_t length, uint8_t *ret_data,
                        size_t capacity, size_t *ret_size)
{
    struct number number = { .used = 0 };
    uint32_t held = 0,
             held_factor = 1; /* digits that are not in the number yet, and the radix to their count */
    size_t zeros = 0;
    struct pc_reader r;
    pc_base_reader_init(&r, text, length);
    while (pc_base_reader_left(&r) > 0) {
        int value = digit_value(base, pc_base_read_u8(&r));
        if (value < 0)
            return PEERCACHE_EPARSE;
        zeros += value == 0 && held == 0 && number.used == 0;
        held = held * base->radix + (uint32_t)value;
        held_factor *= base->radix;
        if (held_factor <= UINT32_MAX / base->radix)
            continue;
        if (!multiply_add(&number, held_factor, held))
            return PEERCACHE_EPARSE;
        held = 0;
        held_factor = 1;
    }
    if (!multiply_add(&number, held_factor, held))
        return PEERCACHE_EPARSE;
    size_t used = size_of(&number);
    if (zeros + used > PC_BASE_BASEX_MAX_BYTES)
        return PEERCACHE_EPARSE;
    if (zeros + used > capacity)
        return PEERCACHE_ELIMIT;
    memset(ret_data, 0, zeros);
    for (size_t i = 0; i < used; i++)
        ret_data[zeros + i] = byte_of(&number, used - 1 - i);
    *ret_size = zeros + used;
    return 0;
}

#define STRICT ((struct leniency){ false, false, false })

int pc_base_hex_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity)
{
    return bits_encode(&base16, data, size, ret_text, capacity);
}

int pc_base_base32_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity)
{
    return bits_encode(&base32, data, size, ret_text, capacity);
}

int pc_base_base36_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity)
{
    return radix_encode(&base36, data, size, ret_text, capacity);
}

int pc_base_base58_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity)
{
    return radix_encode(&base58, data, size, ret_text, capacity);
}

int pc_base_base64url_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity)
{
    return bits_encode(&base64url, data, size, ret_text, capacity);
}

int pc_base_hex_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity, size_t *ret_size)
{
    return bits_decode(&base16, text, length, STRICT, ret_data, capacity, ret_size);
}

int pc_base_base32_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                          size_t *ret_size)
{
    return bits_decode(&base32, text, length, STRICT, ret_data, capacity, ret_size);
}

int pc_base_base36_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                          size_t *ret_size)
{
    return radix_decode(&base36, text, length, ret_data, capacity, ret_size);
}

int pc_base_base58_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                          size_t *ret_size)
{
    return radix_decode(&base58, text, length, ret_data, capacity, ret_size);
}

int pc_base_base64url_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                             size_t *ret_size)
{
    return bits_decode(&base64url, text, length, STRICT, ret_data, capacity, ret_size);
}

/* One row a multibase prefix (or two, for the two cases of one base). */
static const struct multibase {
    char prefix;
    char prefix_upper;
    const struct base *base;
    uint8_t padded_to; /* characters of a padded quantum; 0: no padding */
} multibases[] = {
    { '0', '0', &base2, 0 },     { 'f', 'F', &base16, 0 },    { 'b', 'B', &base32, 0 },
    { 'c', 'C', &base32, 8 },    { 'v', 'V', &base32hex, 0 }, { 't', 'T', &base32hex, 8 },
    { 'k', 'K', &base36, 0 },    { 'z', 'z', &base58, 0 },    { 'Z', 'Z', &base58flickr, 0 },
    { 'm', 'm', &base64, 0 },    { 'M', 'M', &base64, 4 },    { 'u', 'u', &base64url, 0 },
    { 'U', 'U', &base64url, 4 },
};

/* The length without closing '=' and line ends. What is left, these '=' and `pads` more must fill quanta. -1:
 * they do not. */
static int strip_padding(const char *text, size_t *length, uint8_t quantum, size_t pads)
{
    const size_t implied = pads;
    size_t characters = 0;
    struct pc_reader r;
    size_t end = 0;
    pc_base_reader_init(&r, text, *length);
    for (size_t at = 0; pc_base_reader_left(&r) > 0; at++) {
        uint8_t character = pc_base_read_u8(&r);
        if (character == '\r' || character == '\n')
            continue;
        if (character == '=') {
            pads++;
            continue;
        }
        if (pads > implied)
            return -1;
        characters++;
        end = at + 1;
    }
    if ((characters + pads) % quantum != 0 || pads >= quantum)
        return -1;
    *length = end;
    return 0;
}

int pc_base_multibase_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                             size_t *ret_size)
{
    const struct multibase *row = NULL;
    for (size_t i = 0; length > 0 && i < sizeof(multibases) / sizeof(multibases[0]); i++) {
        if (text[0] == multibases[i].prefix || text[0] == multibases[i].prefix_upper)
            row = &multibases[i];
    }
    if (!row)
        return PEERCACHE_EPARSE;
    text++;
    length--;
    if (row->base->bits == 0)
        return radix_decode(row->base, text, length, ret_data, capacity, ret_size);
    if (row->padded_to > 0 && strip_padding(text, &length, row->padded_to, 0) != 0)
        return PEERCACHE_EPARSE;
    struct leniency lenient = { .line_ends = row->base->bits >= 5,
                                .padding_bits = row->base->bits >= 5,
                                .left_over = row->base->bits == 5 && row->padded_to == 0 };
    return bits_decode(row->base, text, length, lenient, ret_data, capacity, ret_size);
}

/* What Go forgives within padded text. */
#define PADDED ((struct leniency){ .line_ends = true, .padding_bits = true })

int pc_base_base64i2p_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity)
{
    if (size > SIZE_MAX / 4 || (size + 2) / 3 * 4 >= capacity)
        return PEERCACHE_ELIMIT;
    int result = bits_encode(&base64i2p, data, size, ret_text, capacity);
    if (result != 0)
        return result;
    size_t length = strlen(ret_text);
    size_t pads = (4 - length % 4) % 4;
    memset(ret_text + length, '=', pads);
    ret_text[length + pads] = '\0';
    return 0;
}

int pc_base_base64i2p_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                             size_t *ret_size)
{
    if (strip_padding(text, &length, 4, 0) != 0)
        return PEERCACHE_EPARSE;
    return bits_decode(&base64i2p, text, length, PADDED, ret_data, capacity, ret_size);
}

int pc_base_base32i2p_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                             size_t *ret_size)
{
    if (strip_padding(text, &length, 8, (8 - length % 8) % 8) != 0)
        return PEERCACHE_EPARSE;
    return bits_decode(&base32i2p, text, length, PADDED, ret_data, capacity, ret_size);
}
