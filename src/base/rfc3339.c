/* RFC 3339: dates between texts and milliseconds since 1970 UTC. The calendar is H. Hinnant's
 * "chrono-Compatible Low-Level Date Algorithms": eras of 400 years, years that begin in March. */
#include "base/cursor.h"
#include "base/time.h"

#include <peercache/types.h>

#define MS_PER_S     1000
#define MS_PER_MIN   60000
#define MS_PER_HOUR  3600000
#define MS_PER_DAY   86400000
#define EPOCH_DAYS   719468 /* from 0000-03-01 to 1970-01-01 */
#define DAYS_PER_ERA 146097

/* By hand: a cache as text is full of times, and snprintf took a fifth of the time to write one. */
static void put_digits(char *to, size_t count, unsigned number)
{
    for (; count > 0; number /= 10)
        to[--count] = (char)('0' + number % 10);
}

void pc_base_rfc3339_format(int64_t wall_ms, char ret_text[PC_RFC3339_BYTES])
{
    const int64_t first_ms = INT64_C(-62167219200000); /* 0000-01-01T00:00:00Z */
    const int64_t last_ms = INT64_C(253402300799999);  /* 9999-12-31T23:59:59.999Z */
    int64_t ms = wall_ms < first_ms ? first_ms : wall_ms > last_ms ? last_ms : wall_ms;
    int64_t days = ms / MS_PER_DAY;
    int64_t rest = ms % MS_PER_DAY;
    if (rest < 0) {
        rest += MS_PER_DAY;
        days--;
    }
    days += EPOCH_DAYS;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    unsigned day_of_era = (unsigned)(days - era * DAYS_PER_ERA);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    unsigned year = (unsigned)((int64_t)year_of_era + era * 400 + (month <= 2 ? 1 : 0));
    memcpy(ret_text, "YYYY-MM-DDTHH:MM:SS.mmmZ", PC_RFC3339_BYTES);
    put_digits(ret_text, 4, year);
    put_digits(ret_text + 5, 2, month);
    put_digits(ret_text + 8, 2, day);
    put_digits(ret_text + 11, 2, (unsigned)(rest / MS_PER_HOUR));
    put_digits(ret_text + 14, 2, (unsigned)(rest / MS_PER_MIN % 60));
    put_digits(ret_text + 17, 2, (unsigned)(rest / MS_PER_S % 60));
    put_digits(ret_text + 20, 3, (unsigned)(rest % MS_PER_S));
}

static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           EPOCH_DAYS;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && is_leap ? 29 : days[month - 1];
}

/* Exactly so many digits; the reader's error says that they were not there. */
static unsigned read_digits(struct pc_reader *r, unsigned count)
{
    unsigned number = 0;
    for (unsigned i = 0; i < count; i++) {
        uint8_t c = pc_base_read_u8(r);
        if (c < '0' || c > '9')
            r->error = PEERCACHE_EPARSE;
        number = number * 10 + (c - (unsigned)'0');
    }
    return r->error ? 0 : number;
}

static uint8_t expect(struct pc_reader *r, const char *any_of)
{
    uint8_t c = pc_base_read_u8(r);
    if (c == 0 || !strchr(any_of, c))
        r->error = PEERCACHE_EPARSE;
    return c;
}

/* What follows the seconds: a fraction, of which the milliseconds count, and the offset. *ret_end is the
 * character behind the fraction. */
static unsigned read_fraction(struct pc_reader *r, uint8_t *ret_end)
{
    unsigned ms = 0, weight = 100, digits = 0;
    uint8_t c = pc_base_read_u8(r);
    if (c == '.') {
        for (c = pc_base_read_u8(r); c >= '0' && c <= '9'; c = pc_base_read_u8(r)) {
            ms += weight * (c - (unsigned)'0');
            weight /= 10;
            digits++;
        }
        if (digits == 0)
            r->error = PEERCACHE_EPARSE;
    }
    *ret_end = c;
    return ms;
}

static int64_t read_offset_ms(struct pc_reader *r, uint8_t sign)
{
    if (sign == 'Z' || sign == 'z')
        return 0;
    if (sign != '+' && sign != '-')
        r->error = PEERCACHE_EPARSE;
    unsigned hours = read_digits(r, 2);
    (void)expect(r, ":");
    unsigned minutes = read_digits(r, 2);
    if (hours > 23 || minutes > 59)
        r->error = PEERCACHE_EPARSE;
    int64_t offset_ms = (int64_t)hours * MS_PER_HOUR + (int64_t)minutes * MS_PER_MIN;
    return sign == '-' ? -offset_ms : offset_ms;
}

int pc_base_rfc3339_parse(const char *text, size_t length, int64_t *ret_wall_ms)
{
    struct pc_reader r;
    uint8_t sign;
    pc_base_reader_init(&r, text, length);
    unsigned year = read_digits(&r, 4);
    (void)expect(&r, "-");
    unsigned month = read_digits(&r, 2);
    (void)expect(&r, "-");
    unsigned day = read_digits(&r, 2);
    (void)expect(&r, "Tt");
    unsigned hour = read_digits(&r, 2);
    (void)expect(&r, ":");
    unsigned minute = read_digits(&r, 2);
    (void)expect(&r, ":");
    unsigned second = read_digits(&r, 2);
    unsigned ms = read_fraction(&r, &sign);
    int64_t offset_ms = read_offset_ms(&r, sign);
    if (r.error || pc_base_reader_left(&r) > 0 || month < 1 || month > 12 || day < 1 ||
        day > days_in(year, month) || hour > 23 || minute > 59 || second > 60)
        return PEERCACHE_EPARSE;
    int64_t wall_ms = days_of(year, month, day) * MS_PER_DAY + (int64_t)hour * MS_PER_HOUR +
                      (int64_t)minute * MS_PER_MIN + (int64_t)second * MS_PER_S - offset_ms;
    if (second == 60) {
        /* A leap second ends a day of UTC, and is here the first of the next. */
        if (wall_ms % MS_PER_DAY != 0)
            return PEERCACHE_EPARSE;
        ms = 0;
    }
    *ret_wall_ms = wall_ms + ms;
    return 0;
}
