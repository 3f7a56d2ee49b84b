/*
 * The queue for the lock of a store: who comes first is served first; whoever is killed or stopped in it keeps nobody
 * out.
 */
#include "conformance.h"

#include "store/lock.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITERS    8
#define TIMEOUT_MS 60000

static char lock_path[PC_STORE_PATH_BYTES + 8];
static char queue_path[PC_STORE_PATH_BYTES + 16];
static int turns[2]; /* a pipe: each writes its number while it holds the lock */

static void open_lock(struct pc_store_lock *lock)
{
    pc_store_lock_init(lock);
    assert_int_equal(pc_store_lock_open(lock, lock_path, 0600, false, NULL), 0);
}

static void begin(struct pc_store_lock *held)
{
    (void)snprintf(lock_path, sizeof(lock_path), "%s.lock", conformance_path);
    (void)snprintf(queue_path, sizeof(queue_path), "%s-queue", lock_path);
    assert_int_equal(pipe(turns), 0);
    open_lock(held);
    assert_int_equal(pc_store_lock_take(held, false, TIMEOUT_MS, NULL), 0);
}

static void end(struct pc_store_lock *held)
{
    pc_store_lock_close(held);
    (void)close(turns[0]);
    (void)close(turns[1]);
    assert_int_equal(unlink(lock_path), 0);
    assert_int_equal(unlink(queue_path), 0);
}

static void wait_and_write(uint8_t number)
{
    struct pc_store_lock lock;
    pc_store_lock_init(&lock);
    if (pc_store_lock_open(&lock, lock_path, 0600, false, NULL) ||
        pc_store_lock_take(&lock, false, TIMEOUT_MS, NULL) || write(turns[1], &number, 1) != 1)
        _exit(1);
    pc_store_lock_release(&lock);
    _exit(0);
}

/* How many stand in the queue: a look at each byte that is locked. */
static size_t count_queued(void)
{
    size_t count = 0;
    int fd = open(queue_path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (off_t from = 0;;) {
        struct flock found = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from };
        assert_int_equal(fcntl(fd, F_OFD_GETLK, &found), 0);
        if (found.l_type == F_UNLCK)
            break;
        count++;
        /* Linux tells the one that was locked first, and who comes later locks a later byte. */
        from = found.l_start + found.l_len;
    }
    (void)close(fd);
    return count;
}

/* A process that has joined the queue as the last. */
static pid_t queue_up(uint8_t number, size_t before)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        wait_and_write(number);
    while (count_queued() == before)
        (void)sched_yield(); /* of another's lock nothing tells */
    return pid;
}

static uint8_t next_turn(void)
{
    uint8_t number;
    assert_int_equal(read(turns[0], &number, 1), 1);
    return number;
}

static void assert_ended_well(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void who_comes_first_is_served_first(void **state)
{
    (void)state;
    struct pc_store_lock held;
    pid_t pids[WAITERS];
    begin(&held);
    for (uint8_t i = 0; i < WAITERS; i++)
        pids[i] = queue_up(i, i);
    pc_store_lock_release(&held);
    for (uint8_t i = 0; i < WAITERS; i++)
        assert_int_equal(next_turn(), i);
    for (size_t i = 0; i < WAITERS; i++)
        assert_ended_well(pids[i]);
    assert_int_equal(count_queued(), 0);
    end(&held);
}

static void one_killed_in_the_queue_is_not_waited_for(void **state)
{
    (void)state;
    struct pc_store_lock held;
    int status = 0;
    begin(&held);
    pid_t killed = queue_up(0, 0), other = queue_up(1, 1);
    assert_int_equal(kill(killed, SIGKILL), 0);
    assert_int_equal(waitpid(killed, &status, 0), killed);
    pc_store_lock_release(&held);
    assert_int_equal(next_turn(), 1);
    assert_ended_well(other);
    end(&held);
}

static void one_stopped_in_the_queue_keeps_nobody_out(void **state)
{
    (void)state;
    struct pc_store_lock held;
    int status = 0;
    begin(&held);
    pid_t stopped = queue_up(0, 0), other = queue_up(1, 1);
    assert_int_equal(kill(stopped, SIGSTOP), 0);
    assert_int_equal(waitpid(stopped, &status, WUNTRACED), stopped);
    assert_true(WIFSTOPPED(status));
    pc_store_lock_release(&held);
    assert_int_equal(next_turn(), 1);
    assert_ended_well(other);
    assert_int_equal(kill(stopped, SIGCONT), 0);
    assert_int_equal(next_turn(), 0);
    assert_ended_well(stopped);
    end(&held);
}

/* The lock is held all the time, and the queue is left as it was. */
static void the_deadline_ends_the_wait(void **state)
{
    (void)state;
    struct pc_store_lock held, late;
    struct pc_reason reason = { "" };
    begin(&held);
    open_lock(&late);
    assert_int_equal(pc_store_lock_take(&late, false, 20, &reason), PEERCACHE_EBUSY);
    assert_string_equal(reason.text, "another process held the lock for 20 ms");
    assert_int_equal(count_queued(), 0);
    pc_store_lock_close(&late);
    end(&held);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, conformance_setup, conformance_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(who_comes_first_is_served_first),
        CASE(one_killed_in_the_queue_is_not_waited_for),
        CASE(one_stopped_in_the_queue_keeps_nobody_out),
        CASE(the_deadline_ends_the_wait),
    };
    conformance_suffix_set(".db");
    return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
