/* Runs a fuzz target over the files of a corpus, one TAP case a file, so that what fuzzing once found stays
 * found with any compiler. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX_BYTES (1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input on the heap and of its exact size, so that the sanitizer sees a read past its end. */
static int replay(const char *directory, const char *name)
{
    static uint8_t buffer[INPUT_MAX_BYTES];
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    size_t size = fread(buffer, 1, sizeof(buffer), file);
    int failed = ferror(file);
    (void)fclose(file);
    uint8_t *data = (uint8_t *)malloc(size ? size : 1);
    if (failed || !data) {
        free(data);
        return -1;
    }
    memcpy(data, buffer, size);
    (void)LLVMFuzzerTestOneInput(data, size); /* aborts when something does not hold */
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    int number = 0, failed = 0;
    int count = argc == 2 ? scandir(argv[1], &entries, NULL, alphasort) : -1;
    if (count < 0) {
        fprintf(stderr, "replay: no corpus: %s\n", argc == 2 ? strerror(errno) : "give its directory");
        return 1;
    }
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            int result = replay(argv[1], entries[i]->d_name);
            printf("%sok %d - %s\n", result ? "not " : "", ++number, entries[i]->d_name);
            (void)fflush(stdout); /* the next one may abort */
            failed |= result;
        }
        free(entries[i]);
    }
    free(entries);
    printf("1..%d\n", number);
    return failed ? 1 : 0;
}
