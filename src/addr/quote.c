#include "addr/quote.h"

#define SHOWN 60

struct pc_quote pc_addr_quote(struct pc_bytes text)
{
    struct pc_quote quote = { "\"" };
    size_t shown = text.size < SHOWN ? text.size : SHOWN;
    for (size_t i = 0; i < shown; i++)
        quote.text[1 + i] = text.data[i] >= ' ' && text.data[i] <= '~' ? (char)text.data[i] : '?';
    memcpy(quote.text + 1 + shown, "\"...", text.size > SHOWN ? 5 : 2);
    quote.text[1 + shown + (text.size > SHOWN ? 4 : 1)] = '\0';
    return quote;
}
