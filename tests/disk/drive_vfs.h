/*
 * A drive as SQLite sees it: a VFS, with the calls on shared memory that a write-ahead log needs (sqlite.org/vfs.html). It does
 * what SQLite's own for Unix does with the files: it tries again after EINTR, writes on after a part, and the first sync of a
 * log or journal that it made is one of the directory too. The memory that Unix maps from a file of its own (-shm) is the
 * drive's, without a name.
 */
#ifndef TESTS_DISK_DRIVE_VFS_H
#define TESTS_DISK_DRIVE_VFS_H

/* From now on every database of this program is on the drive of whoever has entered. */
void drive_vfs_register(void);

#endif
