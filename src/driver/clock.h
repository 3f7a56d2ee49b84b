/* The only clock of the house: monotonic and wall time, neither of which ever goes back for its reader. */
#ifndef PC_DRIVER_CLOCK_H
#define PC_DRIVER_CLOCK_H

#include <peercache/types.h>

struct pc_driver_clock {
    peercache_time last;
};

void pc_driver_clock_init(struct pc_driver_clock *clock);
/* Now; a clock that was set back stands still until time has caught up. */
peercache_time pc_driver_clock_now(struct pc_driver_clock *clock);

#endif
