#include "base_check.h"

#include <stdio.h>
#include <stdlib.h>

void base_check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
    abort();
}
