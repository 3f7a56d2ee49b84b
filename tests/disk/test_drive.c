/* The drive itself: what it keeps and what it loses, so that who runs on it is tried by what a disk does. */
#include "../unit/check.h"

#include "drive.h"

#include <errno.h>
#include <string.h>

#define SEEDS 200

static struct drive *drive;
static struct drive_process *process;

static void fresh(uint64_t seed)
{
    drive = drive_new(seed);
    process = drive_process_begin(drive);
}

static void end(void)
{
    drive_process_end(process);
    drive_free(drive);
}

static struct drive_handle *open_file(const char *name)
{
    struct drive_handle *handle = NULL;
    assert_int_equal(drive_open(process, name, DRIVE_CREATE, 0600, &handle), 0);
    return handle;
}

static void write_all(struct drive_handle *handle, size_t at, char letter, size_t size)
{
    uint8_t bytes[4096];
    size_t written = 0;
    memset(bytes, letter, size);
    assert_int_equal(drive_write(handle, at, bytes, size, &written), 0);
    assert_int_equal(written, size);
}

static void lose_power(struct drive_handle *handle)
{
    size_t count;
    uint8_t byte;
    drive_lose_power(drive);
    assert_int_equal(drive_read(handle, 0, &byte, 1, &count), EIO); /* who lived then is dead */
    drive_close(handle);
    drive_process_end(process);
    process = drive_process_begin(drive);
}

static void what_is_synced_stays_and_what_is_not_is_lost_by_sectors(void **state)
{
    unsigned whole = 0, none = 0, torn = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        fresh(seed);
        struct drive_handle *handle = open_file("a");
        write_all(handle, 0, 's', 4096);
        assert_int_equal(drive_sync(handle), 0);
        assert_int_equal(drive_sync_directory(process), 0);
        write_all(handle, 100, 'n', 2000);
        lose_power(handle);
        const struct drive_file *file = drive_find(drive, "a");
        assert_non_null(file);
        assert_int_equal(file->size, 4096);
        unsigned sectors = 0;
        for (size_t i = 0; i < 4096; i++) {
            bool may_be_new = i >= 100 && i < 2100;
            assert_true(file->bytes[i] == 's' || (may_be_new && file->bytes[i] == 'n'));
            if (i > 100 && i < 2100 && i % DRIVE_SECTOR_BYTES != 0) /* a sector is of one kind */
                assert_int_equal(file->bytes[i], file->bytes[i - 1]);
            sectors += file->bytes[i] == 'n' && (i == 100 || i % DRIVE_SECTOR_BYTES == 0);
        }
        whole += sectors == 5;
        none += sectors == 0;
        torn += sectors > 0 && sectors < 5;
        end();
    }
    assert_true(whole > 20 && none > 20 && torn > 20);
}

/* The old file, or the new one: by the order of names, and what is in it by its own sync. */
static void names_stay_by_the_sync_of_their_directory(void **state)
{
    unsigned olds = 0, news = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        fresh(seed);
        struct drive_handle *handle = open_file("a");
        write_all(handle, 0, 'o', 10);
        assert_int_equal(drive_sync(handle), 0);
        assert_int_equal(drive_sync_directory(process), 0);
        drive_close(handle);
        handle = open_file("b");
        write_all(handle, 0, 'n', 10);
        assert_int_equal(drive_sync(handle), 0);
        assert_int_equal(drive_rename(process, "b", "a", false), EEXIST);
        assert_int_equal(drive_rename(process, "b", "a", true), 0);
        if (seed % 2)
            assert_int_equal(drive_sync_directory(process), 0);
        lose_power(handle);
        const struct drive_file *file = drive_find(drive, "a");
        assert_true(file && file->size == 10);
        olds += file->bytes[0] == 'o';
        news += file->bytes[0] == 'n';
        assert_true(seed % 2 == 0 || file->bytes[0] == 'n');
        assert_true(file->bytes[0] == 'o' || !drive_find(drive, "b"));
        end();
    }
    assert_true(olds > 20 && news > SEEDS / 2);
}

static void who_is_killed_loses_its_locks_alone(void **state)
{
    struct drive_handle *other = NULL;
    uint8_t byte = 0;
    size_t count = 0;
    (void)state;
    fresh(1);
    struct drive_process *second = drive_process_begin(drive);
    struct drive_handle *handle = open_file("a");
    write_all(handle, 0, 'x', 1);
    assert_int_equal(drive_open(second, "a", 0, 0, &other), 0);
    assert_int_equal(drive_flock(handle, DRIVE_EXCLUSIVE), 0);
    assert_int_equal(drive_flock(other, DRIVE_SHARED), EWOULDBLOCK);
    uint8_t *region = drive_map(other, 0, 32, true);
    assert_ptr_equal(drive_map(handle, 0, 32, true), region);
    region[0] = 1;
    drive_process_kill(process);
    region[0] = 2; /* what the dead one scribbles, who is closed only now */
    drive_close(handle);
    drive_process_end(process);
    assert_int_equal(region[0], 1);
    assert_int_equal(drive_flock(other, DRIVE_SHARED), 0);
    assert_int_equal(drive_read(other, 0, &byte, 1, &count), 0);
    assert_true(count == 1 && byte == 'x');
    drive_close(other);
    process = second;
    end();
}

static void a_full_drive_takes_what_fits(void **state)
{
    uint8_t bytes[1000] = { 0 };
    size_t written = 0;
    (void)state;
    fresh(1);
    drive_set_capacity(drive, 1500);
    struct drive_handle *handle = open_file("a");
    assert_int_equal(drive_write(handle, 0, bytes, 1000, &written), 0);
    assert_int_equal(drive_write(handle, 1000, bytes, 1000, &written), 0);
    assert_int_equal(written, 500);
    assert_int_equal(drive_write(handle, 1500, bytes, 1, &written), ENOSPC);
    assert_int_equal(drive_write(handle, 0, bytes, 1000, &written), 0); /* where there is something already */
    assert_int_equal(drive_unlink(process, "a"), 0);
    drive_close(handle);
    assert_int_equal(drive_sync_directory(process), 0);
    assert_int_equal(drive_used(drive), 0);
    assert_int_equal(drive_counts(drive).bytes_written, 2500);
    assert_int_equal(drive_counts(drive).failures, 1);
    end();
}

static void the_same_seed_loses_the_same(void **state)
{
    uint8_t first[4096] = { 0 };
    (void)state;
    for (int i = 0; i < 2; i++) {
        fresh(77);
        struct drive_handle *handle = open_file("a");
        assert_int_equal(drive_sync_directory(process), 0);
        for (size_t n = 0; n < 8; n++)
            write_all(handle, n * 300, (char)('a' + n), 700);
        lose_power(handle);
        const struct drive_file *file = drive_find(drive, "a");
        assert_true(file && file->size < sizeof(first));
        if (i == 1)
            assert_memory_equal(file->bytes, first, file->size);
        else if (file->size > 0)
            memcpy(first, file->bytes, file->size);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_synced_stays_and_what_is_not_is_lost_by_sectors),
        cmocka_unit_test(names_stay_by_the_sync_of_their_directory),
        cmocka_unit_test(who_is_killed_loses_its_locks_alone),
        cmocka_unit_test(a_full_drive_takes_what_fits),
        cmocka_unit_test(the_same_seed_loses_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
