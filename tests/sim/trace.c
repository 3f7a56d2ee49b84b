#include "trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[TRACE_KIND_COUNT] = {
#define TRACE_X(name, text) [name] = (text),
    TRACE_KINDS(TRACE_X)
#undef TRACE_X
};

void trace_init(struct trace *trace, const char *path)
{
    memset(trace, 0, sizeof(*trace));
    trace->ring = calloc(TRACE_RING, sizeof(*trace->ring));
    if (!trace->ring)
        exit(2);
    if (!path)
        return;
    trace->file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (!trace->file) {
        perror(path);
        exit(2);
    }
}

void trace_deinit(struct trace *trace)
{
    if (trace->file && trace->file != stdout && fclose(trace->file) != 0)
        perror("the trace");
    free(trace->ring);
}

static void write_text(FILE *out, const char *text)
{
    (void)fputs(text ? text : "", out);
}

static void write_line(FILE *out, const struct trace_line *line)
{
    int64_t ms = line->at_us / 1000;
    char place[PC_IP_PORT_TEXT_BYTES];
    (void)fprintf(out, "[%" PRId64 "d %02d:%02d:%02d.%03d] ", ms / 86400000, (int)(ms / 3600000 % 24),
                  (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000));
    for (const char *at = texts[line->kind]; *at; at++) {
        if (*at != '%') {
            (void)fputc(*at, out);
            continue;
        }
        switch (*++at) {
        case 'A':
            if (line->a != TRACE_NOBODY)
                (void)fprintf(out, "n%" PRIu32, line->a);
            break;
        case 'B':
            if (line->b != TRACE_NOBODY) {
                (void)fprintf(out, "n%" PRIu32, line->b);
                break;
            }
            pc_addr_ip_port_format(&line->at, place);
            (void)fprintf(out, "%s (nobody)", place);
            break;
        case 'N':
            (void)fprintf(out, "%" PRId64, line->n);
            break;
        case 'M':
            (void)fprintf(out, "%" PRId64, line->m);
            break;
        case 'O':
            write_text(out, line->outcome == PEERCACHE_OK ? "ok" : peercache_outcome_name(line->outcome));
            break;
        default:
            write_text(out, line->text);
            break;
        }
    }
    (void)fputc('\n', out);
}

void trace_add(struct trace *trace, const struct trace_line *line)
{
    trace->ring[trace->count++ % TRACE_RING] = *line;
    if (trace->file)
        write_line(trace->file, line);
}

static bool concerns(const struct trace_line *line, uint32_t machine)
{
    return machine == TRACE_NOBODY || line->a == machine || line->b == machine ||
           line->kind == TRACE_SCRIPT || line->kind == TRACE_BROKEN;
}

void trace_tell(const struct trace *trace, uint32_t machine, size_t count, FILE *out)
{
    uint64_t oldest = trace->count > TRACE_RING ? trace->count - TRACE_RING : 0;
    uint64_t from = trace->count;
    for (size_t found = 0; from > oldest && found < count; from--)
        found += concerns(&trace->ring[(from - 1) % TRACE_RING], machine);
    for (; from < trace->count; from++)
        if (concerns(&trace->ring[from % TRACE_RING], machine))
            write_line(out, &trace->ring[from % TRACE_RING]);
}
