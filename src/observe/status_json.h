/* The status of a node as one JSON object. docs/observability.md describes each member. */
#ifndef PC_OBSERVE_STATUS_JSON_H
#define PC_OBSERVE_STATUS_JSON_H

#include "observe/observation.h"
#include "observe/text.h"

void pc_observe_status_json(const struct pc_observation *observation, struct pc_observe_text *text);

#endif
