/* The metrics of a node in Prometheus' text format (version 0.0.4). docs/observability.md describes each. */
#ifndef PC_OBSERVE_METRICS_H
#define PC_OBSERVE_METRICS_H

#include "observe/observation.h"
#include "observe/text.h"

#define PC_OBSERVE_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

void pc_observe_metrics(const struct pc_observation *observation, struct pc_observe_text *text);

#endif
