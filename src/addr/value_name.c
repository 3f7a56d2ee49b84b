/* Values that are names and paths: their bytes are a text already, plain or percent-encoded. */
#include "addr/protocol.h"

#include <peercache/types.h>

/* Names of hosts and zones are any bytes but '/', which would end the part, and NUL, which would end the
 * text. */
static bool name_is_valid(struct pc_bytes value)
{
    return value.size > 0 && !memchr(value.data, '/', value.size) && !memchr(value.data, '\0', value.size);
}

static int name_read(struct pc_bytes text, struct pc_writer *value)
{
    pc_base_write_bytes(value, text.data, text.size);
    return 0;
}

static void name_write(struct pc_bytes value, struct pc_writer *text)
{
    pc_base_write_bytes(text, value.data, value.size);
}

/* Absolute, and not ending in '/', which the text of an address can't do: two bytes at least. */
static bool socket_path_is_valid(struct pc_bytes value)
{
    return value.data[0] == '/' && value.data[value.size - 1] != '/' && !memchr(value.data, '\0', value.size);
}

/* Percent-encoding as in the query of a URL (HTML's application/x-www-form-urlencoded): so does go-multiaddr,
 * hence '+' for the space. What stands for itself without need is accepted, as is NUL: the canonical text
 * shows neither. */
static int hex_value(uint8_t character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return -1;
}

static int http_path_read(struct pc_bytes text, struct pc_writer *value)
{
    struct pc_reader r;
    pc_base_reader_init(&r, text.data, text.size);
    while (pc_base_reader_left(&r) > 0) {
        uint8_t character = pc_base_read_u8(&r);
        if (character == '%') {
            int high = hex_value(pc_base_read_u8(&r));
            int low = hex_value(pc_base_read_u8(&r));
            if (high < 0 || low < 0)
                return PEERCACHE_EPARSE; /* also when the text ended: a zero is no digit */
            character = (uint8_t)(high << 4 | low);
        } else if (character == '+') {
            character = ' ';
        }
        pc_base_write_u8(value, character);
    }
    return text.size > 0 ? 0 : PEERCACHE_EPARSE;
}

/* RFC 3986's unreserved characters. */
static bool stands_for_itself(uint8_t character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '-' || character == '_' ||
           character == '.' || character == '~';
}

static void http_path_write(struct pc_bytes value, struct pc_writer *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = value.data[i];
        if (byte == ' ') {
            pc_base_write_u8(text, '+');
        } else if (stands_for_itself(byte)) {
            pc_base_write_u8(text, byte);
        } else {
            pc_base_write_u8(text, '%');
            pc_base_write_u8(text, (uint8_t)digits[byte >> 4]);
            pc_base_write_u8(text, (uint8_t)digits[byte & 15]);
        }
    }
}

const struct pc_value_type pc_addr_value_zone = {
    .what = "an IPv6 zone",
    .is_name = true,
    .read = name_read,
    .write = name_write,
    .is_valid = name_is_valid,
};

const struct pc_value_type pc_addr_value_domain = {
    .what = "a domain name",
    .is_name = true,
    .read = name_read,
    .write = name_write,
    .is_valid = name_is_valid,
};

const struct pc_value_type pc_addr_value_socket_path = {
    .what = "the path of a socket",
    .is_name = true,
    .is_path = true,
    .read = name_read,
    .write = name_write,
    .is_valid = socket_path_is_valid,
};

const struct pc_value_type pc_addr_value_http_path = {
    .what = "a path in percent-encoding",
    .read = http_path_read,
    .write = http_path_write,
};
