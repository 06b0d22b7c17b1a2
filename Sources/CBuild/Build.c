#include "CBuild.h"

const char *CBuildCommit(void) { return WEIGHTNORM_COMMIT; }
