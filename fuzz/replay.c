/*
 * Runs a fuzz target over every file of the directories given, in the order of their names, and says so in
 * TAP. A failing target aborts: the report is cut short behind the name of the file at fault.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX_BYTES (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The data ends where its memory ends, so that the sanitizers see a read beyond it. */
static int replay_file(const char *directory, const char *name)
{
    char path[4096];
    static uint8_t buffer[INPUT_MAX_BYTES];
    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
        return -1;
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    size_t size = fread(buffer, 1, sizeof(buffer), file);
    int is_whole = feof(file) && !ferror(file);
    (void)fclose(file);
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (!data || !is_whole) {
        free(data);
        return -1;
    }
    memcpy(data, buffer, size);
    (void)printf("# %s\n", path);
    (void)fflush(stdout);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int number = 0;
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        struct dirent **entries;
        int count = scandir(argv[i], &entries, is_input, alphasort);
        if (count <= 0) {
            (void)printf("Bail out! %s: %s\n", argv[i], count < 0 ? strerror(errno) : "no input in it");
            return 1;
        }
        for (int j = 0; j < count; j++) {
            int result = replay_file(argv[i], entries[j]->d_name);
            (void)printf("%s %d - %s\n", result == 0 ? "ok" : "not ok", ++number, entries[j]->d_name);
            failed += result != 0;
            free(entries[j]);
        }
        free(entries);
    }
    (void)printf("1..%d\n", number);
    return failed > 0 || number == 0;
}
