#include "libp2p/der.h"

#include <peercache/types.h>

#include <assert.h>
#include <time.h>

#define LENGTH_MAX 0xffff

static void reader_fail(struct pc_reader *r)
{
    r->error = PEERCACHE_EPARSE;
    r->at = r->end;
}

static size_t read_length(struct pc_reader *r)
{
    size_t first = pc_base_read_u8(r);
    size_t length = first;
    if (first == 0x81) {
        length = pc_base_read_u8(r);
        if (length < 0x80)
            reader_fail(r);
    } else if (first == 0x82) {
        length = pc_base_read_u16(r);
        if (length < 0x100)
            reader_fail(r);
    } else if (first >= 0x80) {
        reader_fail(r); /* indefinite, or longer than anything we accept */
    }
    return r->error ? 0 : length;
}

struct pc_bytes pc_libp2p_der_read(struct pc_reader *r, enum pc_der_tag tag)
{
    if (pc_base_read_u8(r) != tag)
        reader_fail(r);
    size_t length = read_length(r);
    return pc_base_read_bytes(r, length);
}

struct pc_bytes pc_libp2p_der_read_whole(struct pc_reader *r, enum pc_der_tag tag)
{
    struct pc_reader start = *r;
    (void)pc_libp2p_der_read(r, tag);
    if (r->error)
        return pc_bytes_of(NULL, 0);
    return pc_base_read_bytes(&start, pc_base_reader_left(&start) - pc_base_reader_left(r));
}

struct pc_bytes pc_libp2p_der_read_bits(struct pc_reader *r)
{
    struct pc_bytes contents = pc_libp2p_der_read(r, PC_DER_BIT_STRING);
    struct pc_reader bits;
    pc_base_reader_init(&bits, contents.data, contents.size);
    uint8_t unused_bits = pc_base_read_u8(&bits);
    if (bits.error || unused_bits != 0)
        reader_fail(r);
    return pc_base_read_bytes(&bits, pc_base_reader_left(&bits));
}

static int read_two_digits(struct pc_reader *r)
{
    uint8_t tens = pc_base_read_u8(r);
    uint8_t ones = pc_base_read_u8(r);
    if (tens < '0' || tens > '9' || ones < '0' || ones > '9') {
        reader_fail(r);
        return 0;
    }
    return (tens - '0') * 10 + (ones - '0');
}

int64_t pc_libp2p_der_read_time(struct pc_reader *r)
{
    bool utc = pc_libp2p_der_next_is(r, PC_DER_UTC_TIME);
    struct pc_bytes text = pc_libp2p_der_read(r, utc ? PC_DER_UTC_TIME : PC_DER_GENERALIZED_TIME);
    struct pc_reader digits;
    pc_base_reader_init(&digits, text.data, text.size);
    int year = read_two_digits(&digits);
    if (utc)
        year += year < 50 ? 2000 : 1900;
    else
        year = year * 100 + read_two_digits(&digits);
    struct tm tm = { .tm_year = year - 1900 };
    tm.tm_mon = read_two_digits(&digits) - 1;
    tm.tm_mday = read_two_digits(&digits);
    tm.tm_hour = read_two_digits(&digits);
    tm.tm_min = read_two_digits(&digits);
    tm.tm_sec = read_two_digits(&digits);
    if (pc_base_read_u8(&digits) != 'Z' || !pc_libp2p_der_done(&digits)) {
        reader_fail(r);
        return 0;
    }
    /* timegm carries what is out of range over into the next field, so a date that is one stays as it is. */
    struct tm normal = tm;
    int64_t seconds = timegm(&normal);
    if (normal.tm_mon != tm.tm_mon || normal.tm_mday != tm.tm_mday || normal.tm_hour != tm.tm_hour ||
        normal.tm_min != tm.tm_min || normal.tm_sec != tm.tm_sec) {
        reader_fail(r);
        return 0;
    }
    return seconds;
}

bool pc_libp2p_der_next_is(const struct pc_reader *r, enum pc_der_tag tag)
{
    struct pc_reader ahead = *r;
    return pc_base_read_u8(&ahead) == tag && !ahead.error;
}

bool pc_libp2p_der_done(const struct pc_reader *r)
{
    return !r->error && pc_base_reader_left(r) == 0;
}

static size_t length_size(size_t size)
{
    assert(size <= LENGTH_MAX);
    return size < 0x80 ? 1 : size < 0x100 ? 2 : 3;
}

size_t pc_libp2p_der_size(size_t size)
{
    return 1 + length_size(size) + size;
}

void pc_libp2p_der_write_header(struct pc_writer *w, enum pc_der_tag tag, size_t size)
{
    pc_base_write_u8(w, (uint8_t)tag);
    switch (length_size(size)) {
    case 1:
        pc_base_write_u8(w, (uint8_t)size);
        break;
    case 2:
        pc_base_write_u8(w, 0x81);
        pc_base_write_u8(w, (uint8_t)size);
        break;
    default:
        pc_base_write_u8(w, 0x82);
        pc_base_write_u16(w, (uint16_t)size);
        break;
    }
}
