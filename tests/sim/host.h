/*
 * A host: a simulated drive (tests/disk), and on it a real cache, which the process of one machine has open or those of
 * several share. Opening, loading, commits and takings-in go through pc_store as in production; a process that is killed, or a
 * host that loses its power, is so in the midst of a call when chance has it.
 *
 * What is on the drive is read back after each change, for those who are watched, into the `disk` of all its machines: so they
 * are checked by the same sums as where the disk is a model (disk.h).
 */
#ifndef TESTS_SIM_HOST_H
#define TESTS_SIM_HOST_H

#include "books.h"

struct world;
struct machine;
struct errand;
struct host;

/* The kinds of disk that a run may have. */
enum host_disk {
    HOST_MODEL, /* no host: disk.h */
    HOST_SQLITE,
    HOST_JSON,
};

/* The program's first, unless all is a model. */
void host_begin(void);
/* Give a machine its host: one of its own, or room on the last one. */
void host_settle(struct machine *machine);
void host_free(struct host *host);
struct disk *host_disk(struct host *host);

/* The process of a machine begins, and opens the cache. Returns how many peers are in it; 0 also when it could not be opened:
 * then the first commit tries again. */
size_t host_start(struct machine *machine);
/* What it reads when it starts, each told as LOADED. Whether there is more. */
bool host_load(struct machine *machine);
/* What others committed since, each told as LOADED. */
void host_take_in(struct machine *machine);
/* 0, or an error, *ret_text saying why; valid until the next call. *ret_is_new: it is on the disk, and was not before. */
int host_commit(struct machine *machine, const struct errand *errand, const char **ret_text,
                bool *ret_is_new);
/* Read back what is on the disk now. */
void host_look(struct machine *machine);
/* It closes its cache, and is gone. */
void host_stop(struct machine *machine);
/* It is killed, or its host's power goes, now or in the midst of the commit that was under way (NULL: none). Whether it was the
 * power: then all others there are dead too, and are to be abandoned. */
bool host_kill(struct machine *machine, const struct errand *under_way);
/* It is dead with its host, and soon abandoned; never of a machine without host. */
bool host_had_no_power(const struct machine *machine);
/* It is gone with the others of its host, or the run ends. */
void host_abandon(struct machine *machine);
/* A fresh installation, where the cache is nobody else's. */
void host_clear(struct machine *machine);

#endif
