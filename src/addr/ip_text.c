#include "addr/ip_text.h"

#include <peercache/types.h>

#include <stdio.h>

#define GROUPS 8 /* of 16 bits in an IPv6 address */

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* The next character without taking it; -1 at the end. */
static int peek(const struct pc_reader *r)
{
    return pc_base_reader_left(r) > 0 ? *r->at : -1;
}

static bool take(struct pc_reader *r, char wanted)
{
    if (peek(r) != wanted)
        return false;
    (void)pc_base_read_u8(r);
    return true;
}

static int digit_value(int character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return -1;
}

/* Four numbers up to the end of the text. */
static int read_ip4(struct pc_reader *r, uint8_t ret_ip[PC_IP4_BYTES])
{
    for (size_t i = 0; i < PC_IP4_BYTES; i++) {
        unsigned number = 0;
        unsigned digits = 0;
        if (i > 0 && !take(r, '.'))
            return PEERCACHE_EPARSE;
        while (peek(r) >= '0' && peek(r) <= '9') {
            if (digits > 0 && number == 0)
                return PEERCACHE_EPARSE; /* a leading zero: some would read it as octal */
            number = number * 10 + (unsigned)(pc_base_read_u8(r) - '0');
            if (++digits > 3 || number > 255)
                return PEERCACHE_EPARSE;
        }
        if (digits == 0)
            return PEERCACHE_EPARSE;
        ret_ip[i] = (uint8_t)number;
    }
    return pc_base_reader_left(r) == 0 ? 0 : PEERCACHE_EPARSE;
}

static int read_ip6(struct pc_reader *r, uint8_t ret_ip[PC_IP6_BYTES])
{
    uint8_t ip[PC_IP6_BYTES];
    size_t groups = 0;
    size_t gap = GROUPS + 1; /* before which group "::" stands; none yet */
    if (take(r, ':')) {
        if (!take(r, ':'))
            return PEERCACHE_EPARSE;
        gap = 0;
    }
    while (groups < GROUPS && pc_base_reader_left(r) > 0) {
        const struct pc_reader group = *r;
        unsigned number = 0;
        unsigned digits = 0;
        while (digit_value(peek(r)) >= 0) {
            number = number << 4 | (unsigned)digit_value(pc_base_read_u8(r));
            if (++digits > 4)
                return PEERCACHE_EPARSE;
        }
        if (digits == 0)
            return PEERCACHE_EPARSE;
        if (peek(r) == '.') { /* the last two groups as IPv4: read again as such */
            if (groups > GROUPS - 2 || (gap > GROUPS && groups != GROUPS - 2))
                return PEERCACHE_EPARSE;
            *r = group;
            if (read_ip4(r, ip + 2 * groups) != 0)
                return PEERCACHE_EPARSE;
            groups += 2;
            break;
        }
        ip[2 * groups] = (uint8_t)(number >> 8);
        ip[2 * groups + 1] = (uint8_t)number;
        groups++;
        if (pc_base_reader_left(r) == 0)
            break;
        if (!take(r, ':') || pc_base_reader_left(r) == 0)
            return PEERCACHE_EPARSE;
        if (take(r, ':')) {
            if (gap <= GROUPS)
                return PEERCACHE_EPARSE;
            gap = groups;
        }
    }
    /* "::" stands for one group at least. */
    if (pc_base_reader_left(r) > 0 || (groups < GROUPS) != (gap <= GROUPS))
        return PEERCACHE_EPARSE;
    if (groups == GROUPS) {
        memcpy(ret_ip, ip, PC_IP6_BYTES);
        return 0;
    }
    memset(ret_ip, 0, PC_IP6_BYTES);
    memcpy(ret_ip, ip, 2 * gap);
    memcpy(ret_ip + PC_IP6_BYTES - 2 * (groups - gap), ip + 2 * gap, 2 * (groups - gap));
    return 0;
}

int pc_addr_ip_parse(struct pc_bytes text, uint8_t ret_ip[PC_IP6_BYTES])
{
    struct pc_reader r;
    uint8_t ip4[PC_IP4_BYTES];
    pc_base_reader_init(&r, text.data, text.size);
    if (read_ip4(&r, ip4) == 0) {
        memcpy(ret_ip, mapped_prefix, sizeof(mapped_prefix));
        memcpy(ret_ip + sizeof(mapped_prefix), ip4, sizeof(ip4));
        return 0;
    }
    pc_base_reader_init(&r, text.data, text.size);
    return read_ip6(&r, ret_ip);
}

bool pc_addr_ip_is_mapped(const uint8_t ip[PC_IP6_BYTES])
{
    return memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

void pc_addr_ip4_write(struct pc_writer *w, const uint8_t ip[PC_IP4_BYTES])
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
    pc_base_write_bytes(w, text, (size_t)length);
}

void pc_addr_ip6_write(struct pc_writer *w, const uint8_t ip[PC_IP6_BYTES])
{
    size_t gap = GROUPS; /* the first of the longest runs of zeroes, if that is two groups or more */
    size_t gap_size = 1;
    if (pc_addr_ip_is_mapped(ip)) {
        pc_base_write_bytes(w, "::ffff:", 7);
        pc_addr_ip4_write(w, ip + sizeof(mapped_prefix));
        return;
    }
    for (size_t i = 0; i < GROUPS; i++) {
        size_t end = i;
        while (end < GROUPS && ip[2 * end] == 0 && ip[2 * end + 1] == 0)
            end++;
        if (end - i > gap_size) {
            gap = i;
            gap_size = end - i;
        }
    }
    for (size_t i = 0; i < GROUPS; i++) {
        char text[8];
        if (i == gap) {
            pc_base_write_bytes(w, "::", 2);
            i += gap_size - 1;
            continue;
        }
        const char *separator = i > 0 && i != gap + gap_size ? ":" : "";
        int length =
            snprintf(text, sizeof(text), "%s%x", separator, (unsigned)(ip[2 * i] << 8 | ip[2 * i + 1]));
        pc_base_write_bytes(w, text, (size_t)length);
    }
}

int pc_addr_decimal_parse(struct pc_bytes text, uint64_t maximum, uint64_t *ret_number)
{
    struct pc_reader r;
    uint64_t number = 0;
    pc_base_reader_init(&r, text.data, text.size);
    if (text.size == 0)
        return PEERCACHE_EPARSE;
    while (pc_base_reader_left(&r) > 0) {
        uint8_t character = pc_base_read_u8(&r);
        if (character < '0' || character > '9')
            return PEERCACHE_EPARSE;
        uint64_t digit = (uint64_t)(character - '0');
        if (digit > maximum || number > (maximum - digit) / 10)
            return PEERCACHE_EPARSE;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return 0;
}

void pc_addr_decimal_write(struct pc_writer *w, uint64_t number)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    pc_base_write_bytes(w, text, (size_t)length);
}
