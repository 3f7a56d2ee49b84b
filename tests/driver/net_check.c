#include "net_check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

uv_loop_t loop;
struct pc_driver_resolver *resolver;
struct pc_driver_fetcher *fetcher;

static size_t fds_before;

const char *told(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        fail_msg("no %s: run by tests/driver/with_servers.py", name);
    return value;
}

bool has_ip6(void)
{
    return told("HAS_IP6")[0] != '\0';
}

const char *url_of(const char *scheme, const char *host, const char *port_name, const char *path)
{
    static char url[512];
    (void)snprintf(url, sizeof(url), "%s://%s:%s%s", scheme, host, told(port_name), path);
    return url;
}

const char *http(const char *path)
{
    return url_of("http", "127.0.0.1", "PORT_HTTP", path);
}

const char *raw(const char *path)
{
    return url_of("http", "127.0.0.1", "PORT_RAW", path);
}

const char *https(const char *port_name, const char *path)
{
    return url_of("https", "127.0.0.1", port_name, path);
}

const char *local(const char *port_name, char ret_text[64])
{
    (void)snprintf(ret_text, 64, "127.0.0.1:%s", told(port_name));
    return ret_text;
}

size_t count_own(const char *what)
{
    char path[64];
    size_t count = 0;
    (void)snprintf(path, sizeof(path), "/proc/self/%s", what);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

void open_all(const char *server, const char *ca_file)
{
    struct pc_reason why = { "" };
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(pc_driver_resolver_new(&loop, server, &resolver, &why), 0);
    assert_int_equal(pc_driver_fetcher_new(&loop, resolver, ca_file, &fetcher), 0);
}

void close_all(void)
{
    pc_driver_fetcher_close(fetcher);
    fetcher = NULL;
    pc_driver_resolver_close(resolver);
    resolver = NULL;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int net_setup(void **state)
{
    char server[64];
    char ca_file[512];
    (void)state;
    (void)snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", told("PLACE"));
    assert_int_equal(uv_loop_init(&loop), 0); /* the first of a process opens what stays */
    assert_int_equal(uv_loop_close(&loop), 0);
    fds_before = count_own("fd");
    open_all(local("PORT_DNS", server), ca_file);
    return 0;
}

int net_teardown(void **state)
{
    (void)state;
    close_all();
    assert_int_equal(count_own("fd"), fds_before);
    return 0;
}

void run_until(const bool *flag)
{
    while (!*flag)
        assert_int_not_equal(uv_run(&loop, UV_RUN_ONCE) == 0 && !*flag, 1);
}
