/*
 * At each place of the text it is looked whether a hidden thing begins there, and if so how long it is; else one
 * character is copied. IPv6 goes first, for it may end in IPv4.
 */
#include "observe/redact.h"

#include "addr/ip_text.h"

#define IP4_NUMBER_DIGITS  3
#define IP6_TEXT_MAX_BYTES 45 /* eight groups, the last two as IPv4 */

static uint8_t at(struct pc_bytes all, size_t i)
{
    return i < all.size ? all.data[i] : 0;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool is_word(uint8_t c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Four numbers with dots between, of which the first begins here; its length, 0: none. */
static size_t ip4_at(struct pc_bytes all, size_t from)
{
    size_t i = from;
    if (from > 0 && is_digit(all.data[from - 1]))
        return 0;
    for (size_t number = 0; number < PC_IP4_BYTES; number++) {
        size_t digits = 0;
        if (number > 0 && at(all, i++) != '.')
            return 0;
        while (is_digit(at(all, i + digits)))
            digits++;
        if (digits == 0 || digits > IP4_NUMBER_DIGITS)
            return 0;
        i += digits;
    }
    return i - from;
}

/* The longest IPv6 address that begins here and ends where none can go on. */
static size_t ip6_at(struct pc_bytes all, size_t from)
{
    uint8_t ip[PC_IP6_BYTES];
    size_t length = 0, colons = 0;
    if (from > 0 && is_word(all.data[from - 1]))
        return 0;
    while (length < IP6_TEXT_MAX_BYTES &&
           (is_hex(at(all, from + length)) || at(all, from + length) == ':' || at(all, from + length) == '.'))
        colons += at(all, from + length++) == ':';
    for (; colons >= 2 && length >= 2; length--) {
        uint8_t last = all.data[from + length - 1];
        if (!is_word(at(all, from + length)) &&
            pc_addr_ip_parse(pc_bytes_of(all.data + from, length), ip) == 0)
            return length;
        colons -= last == ':';
    }
    return 0;
}

/* The protocol of a multiaddr whose value is hidden, when one begins here: its length with both slashes. */
static size_t marker_at(struct pc_bytes all, size_t from)
{
    static const char *const markers[] = { "/dns/",   "/dns4/",   "/dns6/",     "/dnsaddr/", "/sni/",
                                           "/onion/", "/onion3/", "/garlic32/", "/garlic64/" };
    for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++) {
        size_t length = strlen(markers[i]);
        if (all.size - from >= length && memcmp(all.data + from, markers[i], length) == 0)
            return length;
    }
    return 0;
}

/* A name or key goes on to the next part, its port, or where no address can go on. */
static size_t value_at(struct pc_bytes all, size_t from)
{
    size_t i = from;
    while (i < all.size && all.data[i] > ' ' && !memchr("/:,;\"'()<>[]{}", all.data[i], 14))
        i++;
    return i - from;
}

void pc_observe_redact(struct pc_observe_text *text, const char *from)
{
    const struct pc_bytes all = pc_bytes_of(from, strlen(from));
    size_t copied = 0, i = 0;
    while (i < all.size) {
        size_t marker = marker_at(all, i), length = 0;
        const char *instead = "x";
        if (marker > 0) {
            i += marker;
            length = value_at(all, i);
        } else if ((length = ip6_at(all, i)) > 0) {
            instead = "x::x";
        } else if ((length = ip4_at(all, i)) > 0) {
            instead = "x.x.x.x";
        }
        if (length == 0) {
            i += marker == 0;
            continue;
        }
        pc_observe_put_bytes(text, pc_bytes_of(all.data + copied, i - copied));
        pc_observe_put(text, "%s", instead);
        i += length;
        copied = i;
    }
    pc_observe_put_bytes(text, pc_bytes_of(all.data + copied, all.size - copied));
}
