/* A log sink passed in: the pure rooms say, the edge writes. A NULL sink or write function is silence. */
#ifndef PC_BASE_LOG_H
#define PC_BASE_LOG_H

enum pc_log_level {
    PC_LOG_ERROR,
    PC_LOG_WARNING,
    PC_LOG_INFO,
    PC_LOG_DEBUG,
};

struct pc_log {
    void (*write)(void *context, enum pc_log_level level, const char *room, const char *text);
    void *context;
    enum pc_log_level level; /* what is above is not even formatted */
};

void pc_base_log(const struct pc_log *log, enum pc_log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
