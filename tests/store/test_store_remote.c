/*
 * A network file system, as statfs says it: the system's function is hidden by ours. SQLite is refused with a
 * sentence that names the way out, and the JSON file works.
 */
#include "conformance.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static uint32_t file_system;
static unsigned missing; /* the path is not there for so many looks */

int __wrap_statfs64(const char *path, struct statfs64 *ret_info);

int __wrap_statfs64(const char *path, struct statfs64 *ret_info)
{
    struct stat info;
    if (stat(path, &info)) {
        missing++;
        errno = ENOENT;
        return -1;
    }
    *ret_info = (struct statfs64){ .f_type = file_system };
    return 0;
}

static int open_as(const char *suffix, bool read_only, struct pc_reason *ret_reason)
{
    struct pc_store_options options = conformance_options(1);
    struct pc_store *store = NULL;
    options.read_only = read_only;
    conformance_path[strcspn(conformance_path, ".")] = '\0';
    strcat(conformance_path, suffix);
    int result = pc_store_open(conformance_path, &options, &store, ret_reason);
    pc_store_close(store);
    return result;
}

static void sqlite_is_refused_on_a_network_file_system(void **state)
{
    (void)state;
    static const uint32_t remote[] = { 0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x00c36400 };
    struct pc_reason reason = { "" };
    file_system = 0xef53; /* ext4 */
    assert_int_equal(open_as(".db", false, &reason), 0);
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
        file_system = remote[i];
        assert_int_equal(open_as(".db", false, &reason), PEERCACHE_EUNSUPPORTED);
        assert_non_null(strstr(reason.text, "network file system"));
        assert_non_null(strstr(reason.text, ".json"));
        assert_int_equal(open_as(".db", true, &reason), 0); /* to look into it */
        assert_int_equal(open_as(".json", false, &reason), 0);
    }
    missing = 0; /* what is not there yet will be where its directory is */
    assert_int_equal(open_as(".new/below/peers.db", false, &reason), PEERCACHE_EUNSUPPORTED);
    assert_true(missing >= 2);
    assert_int_not_equal(access(conformance_path, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sqlite_is_refused_on_a_network_file_system, conformance_setup,
                                        conformance_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
