#include "cli/settings.h"

#include <peercache/types.h>

#include <stdio.h>
#include <stdlib.h>

/* Name and value, each with its NUL. */
struct pc_cli_setting_text {
    struct pc_cli_setting_text *next;
    char text[];
};

void pc_cli_settings_deinit(struct pc_cli_settings *settings)
{
    for (struct pc_cli_setting_text *text = settings->texts, *next; text; text = next) {
        next = text->next;
        free(text);
    }
    free(settings->all);
    *settings = (struct pc_cli_settings){ 0 };
}

static bool grow(struct pc_cli_settings *settings)
{
    if (settings->count < settings->room)
        return true;
    size_t room = settings->room ? 2 * settings->room : 32;
    struct pc_cli_setting *all = realloc(settings->all, room * sizeof(*all));
    if (!all)
        return false;
    settings->all = all;
    settings->room = room;
    return true;
}

int pc_cli_settings_add(struct pc_cli_settings *settings, unsigned option, enum pc_cli_layer layer,
                        unsigned line, const char *name, struct pc_bytes value, struct pc_reason *ret_reason)
{
    size_t name_size = strlen(name) + 1;
    struct pc_cli_setting_text *text = malloc(sizeof(*text) + name_size + value.size + 1);
    if (!text || !grow(settings)) {
        free(text);
        pc_base_reason(ret_reason, "out of memory");
        return PEERCACHE_ENOMEM;
    }
    memcpy(text->text, name, name_size);
    if (value.size > 0)
        memcpy(text->text + name_size, value.data, value.size);
    text->text[name_size + value.size] = '\0';
    text->next = settings->texts;
    settings->texts = text;
    settings->all[settings->count++] = (struct pc_cli_setting){
        .option = option,
        .layer = layer,
        .line = line,
        .name = text->text,
        .value = text->text + name_size,
        .holds = true,
    };
    return 0;
}

void pc_cli_settings_settle(struct pc_cli_settings *settings, unsigned (*same)(unsigned option))
{
    enum pc_cli_layer highest[PC_CLI_SETTING_OPTIONS_MAX] = { PC_CLI_DEFAULT };
    for (size_t i = 0; i < settings->count; i++) {
        enum pc_cli_layer *of_option = &highest[same(settings->all[i].option)];
        if (settings->all[i].layer > *of_option)
            *of_option = settings->all[i].layer;
    }
    for (size_t i = 0; i < settings->count; i++)
        settings->all[i].holds = settings->all[i].layer == highest[same(settings->all[i].option)];
}

const struct pc_cli_setting *pc_cli_settings_find(const struct pc_cli_settings *settings, unsigned option)
{
    for (size_t i = settings->count; i > 0; i--)
        if (settings->all[i - 1].option == option && settings->all[i - 1].holds)
            return &settings->all[i - 1];
    return NULL;
}

void pc_cli_settings_drop(struct pc_cli_settings *settings, unsigned option)
{
    for (size_t i = 0; i < settings->count; i++)
        if (settings->all[i].option == option)
            settings->all[i].holds = false;
}

const char *pc_cli_setting_where(const struct pc_cli_settings *settings, const struct pc_cli_setting *setting,
                                 char ret_where[PC_CLI_WHERE_BYTES])
{
    switch (setting->layer) {
    case PC_CLI_DEFAULT:
    case PC_CLI_FLAG:
        (void)snprintf(ret_where, PC_CLI_WHERE_BYTES, "--%s", setting->name);
        break;
    case PC_CLI_ENVIRONMENT:
        (void)snprintf(ret_where, PC_CLI_WHERE_BYTES, "%s", setting->name);
        break;
    case PC_CLI_FILE:
        (void)snprintf(ret_where, PC_CLI_WHERE_BYTES, "%.96s: line %u: %s", settings->file, setting->line,
                       setting->name);
        break;
    }
    return ret_where;
}
