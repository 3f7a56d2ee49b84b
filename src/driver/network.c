#include "driver/network.h"

#include "addr/multiaddr.h"
#include "driver/fetch_url.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

/* ----- words ----- */

bool pc_driver_network_name_valid(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length >= PC_DRIVER_NETWORK_NAME_BYTES || name[0] == '.')
        return false;
    for (const char *c = name; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '/' || byte <= ' ' || byte == 0x7f)
            return false;
    }
    return true;
}

/* 1 to capacity - 1 characters of visible ASCII. */
static bool is_word(const char *text, size_t capacity)
{
    size_t length = strlen(text);
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
            return false;
    return length > 0 && length < capacity;
}

bool pc_driver_kad_protocol_valid(const char *protocol)
{
    size_t parts = 0;
    if (!is_word(protocol, PC_DRIVER_KAD_PROTOCOL_BYTES) || protocol[0] != '/')
        return false;
    for (const char *c = protocol; *c; c++) {
        if (*c != '/')
            continue;
        if (c[1] == '/' || c[1] == '\0')
            return false;
        parts++;
    }
    return parts >= 2;
}

/* ----- one description ----- */

struct parsing {
    struct pc_driver_network *network;
    struct pc_reason why; /* of the first refusal */
    int result;
};

static int refuse(struct parsing *parsing, int result, const char *what, const char *value)
{
    if (parsing->result == 0) {
        parsing->result = result;
        pc_base_reason(&parsing->why, "%s \"%.64s\"", what, value);
    }
    return 0; /* libinih: an error in this line */
}

/* The handlers of libinih's lines: 1, or 0 after a refusal. */

static int on_kad_protocol(struct parsing *parsing, const char *value)
{
    struct pc_driver_network *network = parsing->network;
    if (network->kad_protocol[0] != '\0')
        return refuse(parsing, PEERCACHE_EPARSE, "a second kad_protocol", value);
    if (!pc_driver_kad_protocol_valid(value))
        return refuse(parsing, PEERCACHE_EPARSE, "kad_protocol is not of the form /a/b:", value);
    memcpy(network->kad_protocol, value, strlen(value) + 1);
    return 1;
}

static int on_bootstrap(struct parsing *parsing, const char *value)
{
    struct pc_driver_network *network = parsing->network;
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t size;
    if (network->bootstrap_count == PC_DRIVER_NETWORK_BOOTSTRAP_MAX)
        return refuse(parsing, PEERCACHE_ELIMIT, "too many bootstrap addresses at", value);
    if (strlen(value) >= PEERCACHE_ADDR_TEXT_BYTES)
        return refuse(parsing, PEERCACHE_ELIMIT, "a bootstrap address is too long:", value);
    if (pc_addr_multiaddr_parse(value, strlen(value), bytes, sizeof(bytes), &size, NULL) != 0)
        return refuse(parsing, PEERCACHE_EPARSE, "a bootstrap address is no multiaddr:", value);
    memcpy(network->bootstrap[network->bootstrap_count++], value, strlen(value) + 1);
    return 1;
}

static int on_endpoint(struct parsing *parsing, const char *value)
{
    struct pc_driver_network *network = parsing->network;
    struct pc_reason why = { "out of memory" };
    char what[PEERCACHE_DETAIL_BYTES];
    if (network->endpoint_count == PC_JOIN_ENDPOINTS_MAX)
        return refuse(parsing, PEERCACHE_ELIMIT, "too many endpoints at", value);
    int result = pc_driver_fetch_url_check_endpoint(value, &why);
    if (result != 0) {
        (void)snprintf(what, sizeof(what), "an endpoint can't be asked (%.100s):", why.text);
        return refuse(parsing, result, what, value);
    }
    memcpy(network->endpoints[network->endpoint_count++], value, strlen(value) + 1);
    return 1;
}

static int on_network_version(struct parsing *parsing, const char *value)
{
    struct pc_driver_network *network = parsing->network;
    if (network->network_version[0] != '\0')
        return refuse(parsing, PEERCACHE_EPARSE, "a second network_version", value);
    if (!is_word(value, PC_DRIVER_NETWORK_VERSION_BYTES))
        return refuse(parsing, PEERCACHE_EPARSE,
                      "network_version is no word of 1 to 63 characters without blanks:", value);
    memcpy(network->network_version, value, strlen(value) + 1);
    return 1;
}

static int on_value(void *context, const char *section, const char *key, const char *value)
{
    static const struct {
        const char *key;
        int (*take)(struct parsing *parsing, const char *value);
    } keys[] = {
        { "kad_protocol", on_kad_protocol },
        { "bootstrap", on_bootstrap },
        { "endpoint", on_endpoint },
        { "network_version", on_network_version },
    };
    struct parsing *parsing = context;
    if (section[0] != '\0')
        return refuse(parsing, PEERCACHE_EPARSE, "unknown section", section);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(key, keys[i].key) == 0)
            return keys[i].take(parsing, value);
    return refuse(parsing, PEERCACHE_EPARSE, "unknown key", key);
}

/* libinih would cut a longer line in two and read both halves. Returns the number of such a line, or 0. */
static unsigned long_line(const char *text)
{
    unsigned number = 1;
    size_t length = 0;
    for (const char *c = text; *c; c++) {
        if (*c == '\n') {
            number++;
            length = 0;
        } else if (++length > PC_DRIVER_NETWORK_LINE_BYTES) {
            return number;
        }
    }
    return 0;
}

int pc_driver_network_parse(const char *name, const char *text, size_t size, const char *where,
                            struct pc_driver_network *ret_network, struct pc_reason *ret_reason)
{
    struct parsing parsing = { 0 };
    int result = 0;
    struct pc_driver_network *network = calloc(1, sizeof(*network));
    char *copy = malloc(size + 1); /* libinih wants its closing NUL */
    if (!network || !copy) {
        result = PEERCACHE_ENOMEM;
        pc_base_reason(ret_reason, "%s: out of memory", where);
        goto free_both;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    (void)snprintf(network->name, sizeof(network->name), "%s", name);
    parsing.network = network;
    unsigned long_at = long_line(copy);
    if (memchr(text, '\0', size) || long_at != 0) {
        result = PEERCACHE_EPARSE;
        if (long_at != 0)
            pc_base_reason(ret_reason, "%s: line %u is over %d characters", where, long_at,
                           PC_DRIVER_NETWORK_LINE_BYTES);
        else
            pc_base_reason(ret_reason, "%s: not a text", where);
        goto free_both;
    }
    int line = ini_parse_string(copy, on_value, &parsing);
    if (line != 0) {
        result = parsing.result != 0 ? parsing.result : PEERCACHE_EPARSE;
        pc_base_reason(ret_reason, "%s: line %d: %s", where, line,
                       parsing.result != 0 ? parsing.why.text : "not of the form key = value");
    } else if (network->kad_protocol[0] == '\0') {
        result = PEERCACHE_EPARSE;
        pc_base_reason(ret_reason, "%s: kad_protocol is missing", where);
    } else {
        *ret_network = *network;
    }
free_both:
    free(copy);
    free(network);
    return result;
}

/* ----- where they are ----- */

#ifndef PC_SYSCONFDIR
#error "the build defines PC_SYSCONFDIR"
#endif

void pc_driver_network_dirs_of_environment(struct pc_driver_network_dirs *ret_dirs)
{
    static const char below[] = "peercache/networks";
    const char *config = getenv("XDG_CONFIG_HOME");
    char home[PC_DRIVER_NETWORK_PATH_BYTES / 2];
    size_t size = sizeof(home);
    int length = 0;
    memset(ret_dirs, 0, sizeof(*ret_dirs));
    (void)snprintf(ret_dirs->system, sizeof(ret_dirs->system), "%s/%s", PC_SYSCONFDIR, below);
    /* The XDG specification: a path that is not absolute is to be ignored. */
    if (config && config[0] == '/')
        length = snprintf(ret_dirs->user, sizeof(ret_dirs->user), "%s/%s", config, below);
    else if (uv_os_homedir(home, &size) == 0 && home[0] == '/')
        length = snprintf(ret_dirs->user, sizeof(ret_dirs->user), "%s/.config/%s", home, below);
    if (length < 0 || (size_t)length >= sizeof(ret_dirs->user))
        ret_dirs->user[0] = '\0';
}

/* Read a whole small file. ENOTFOUND, EPERM, EIO, ELIMIT with the reason. */
static int read_file(const char *path, char *ret_text, size_t capacity, size_t *ret_size,
                     struct pc_reason *ret_reason)
{
    size_t size = 0;
    struct stat status;
    int result = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not to wait for the writer of a pipe */
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return PEERCACHE_ENOTFOUND;
    if (fd < 0) {
        pc_base_reason(ret_reason, "%s: %s", path, uv_strerror(-errno));
        return errno == EACCES || errno == EPERM ? PEERCACHE_EPERM : PEERCACHE_EIO;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        pc_base_reason(ret_reason, "%s: not a file", path);
        result = PEERCACHE_EIO;
        goto close_file;
    }
    for (;;) {
        if (size == capacity) {
            pc_base_reason(ret_reason, "%s: over %zu bytes", path, capacity - 1);
            result = PEERCACHE_ELIMIT;
            goto close_file;
        }
        ssize_t got = read(fd, ret_text + size, capacity - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            pc_base_reason(ret_reason, "%s: %s", path, uv_strerror(-errno));
            result = PEERCACHE_EIO;
            goto close_file;
        }
        if (got == 0)
            break;
        size += (size_t)got;
    }
    *ret_size = size;
close_file:
    (void)close(fd);
    return result;
}

/* Look in one folder. ENOTFOUND when it is not there. */
static int find_in(const char *dir, const char *name, struct pc_driver_network *ret_network,
                   struct pc_reason *ret_reason)
{
    char path[PC_DRIVER_NETWORK_PATH_BYTES + PC_DRIVER_NETWORK_NAME_BYTES];
    size_t size = 0;
    if (dir[0] == '\0')
        return PEERCACHE_ENOTFOUND;
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    char *text = malloc(PC_DRIVER_NETWORK_FILE_BYTES + 1); /* one more shows that it is over */
    if (!text) {
        pc_base_reason(ret_reason, "%s: out of memory", path);
        return PEERCACHE_ENOMEM;
    }
    int result = read_file(path, text, PC_DRIVER_NETWORK_FILE_BYTES + 1, &size, ret_reason);
    if (result == 0)
        result = pc_driver_network_parse(name, text, size, path, ret_network, ret_reason);
    free(text);
    return result;
}

static void list_known(const char *name, const struct pc_driver_network_dirs *dirs,
                       struct pc_reason *ret_reason)
{
    char names[PC_DRIVER_NETWORK_KNOWN_MAX][PC_DRIVER_NETWORK_NAME_BYTES];
    struct pc_reason list = { "" };
    size_t count = pc_driver_network_known(dirs, names, PC_DRIVER_NETWORK_KNOWN_MAX);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        /* Room for the sentence around it; who has so many finds the others in the folders. */
        if (used + strlen(names[i]) + 2 > 90) {
            (void)snprintf(list.text + used, sizeof(list.text) - used, ", …");
            break;
        }
        used +=
            (size_t)snprintf(list.text + used, sizeof(list.text) - used, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    pc_base_reason(ret_reason, "unknown network \"%.40s\": known are %s; or name its Kademlia protocol", name,
                   list.text);
}

int pc_driver_network_find(const char *name, const struct pc_driver_network_dirs *dirs,
                           struct pc_driver_network *ret_network, struct pc_reason *ret_reason)
{
    const char *const places[] = { dirs->user, dirs->system };
    if (pc_driver_network_name_valid(name)) {
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
            int result = find_in(places[i], name, ret_network, ret_reason);
            if (result != PEERCACHE_ENOTFOUND)
                return result;
        }
        for (const struct pc_driver_network_built_in *b = pc_driver_networks_built_in; b->name; b++) {
            if (strcmp(b->name, name) == 0)
                return pc_driver_network_parse(name, b->text, strlen(b->text), name, ret_network, ret_reason);
        }
    }
    list_known(name, dirs, ret_reason);
    return PEERCACHE_ENOTFOUND;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void add_name(const char *name, char names[][PC_DRIVER_NETWORK_NAME_BYTES], size_t capacity,
                     size_t *count)
{
    if (*count == capacity || !pc_driver_network_name_valid(name))
        return;
    for (size_t i = 0; i < *count; i++) { /* at most PC_DRIVER_NETWORK_KNOWN_MAX */
        if (strcmp(names[i], name) == 0)
            return;
    }
    memcpy(names[(*count)++], name, strlen(name) + 1);
}

size_t pc_driver_network_known(const struct pc_driver_network_dirs *dirs,
                               char ret_names[][PC_DRIVER_NETWORK_NAME_BYTES], size_t capacity)
{
    const char *const places[] = { dirs->user, dirs->system };
    size_t count = 0;
    for (const struct pc_driver_network_built_in *b = pc_driver_networks_built_in; b->name; b++)
        add_name(b->name, ret_names, capacity, &count);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        DIR *dir = places[i][0] != '\0' ? opendir(places[i]) : NULL;
        if (!dir)
            continue; /* usual: nobody described a network of their own */
        for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
            add_name(entry->d_name, ret_names, capacity, &count);
        (void)closedir(dir);
    }
    qsort(ret_names, count, sizeof(ret_names[0]), compare_names);
    return count;
}
