/* SPDX-License-Identifier: MIT */
/* process/limit.c - how much memory of its own a worker process may have. */
#include "process/limit.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"

/* What the process had when it was limited; 0: it was not. */
static size_t before;

/* "VmData:     1234 kB", by hand: a handler may not call sscanf. */
static size_t kib_at(const char *at)
{
    size_t kib = 0;

    while (*at == ' ' || *at == '\t')
        at++;
    while (*at >= '0' && *at <= '9')
        kib = kib * 10 + (size_t)(*at++ - '0');
    return kib;
}

size_t sh_limit_used(void)
{
    static const char key[] = "\nVmData:";
    char text[2048];
    int fd = sh_fault() ? -1 : open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    const char *at;
    ssize_t n;

    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, key);
    return at != NULL ? kib_at(at + sizeof key - 1) * 1024 : 0;
}

bool sh_limit_set(size_t more)
{
    struct rlimit limit;
    size_t used = sh_limit_used();

    SH_ASSERT(more > 0);
    if (used == 0 || sh_fault() || getrlimit(RLIMIT_DATA, &limit) != 0)
        return false;
    before = used;
    /* A limit that is beyond all memory, or that the host has set itself. */
    if (more >= SIZE_MAX - used || (rlim_t)(used + more) >= limit.rlim_cur)
        return true;
    limit.rlim_cur = used + more;
    if (limit.rlim_max > limit.rlim_cur)
        limit.rlim_max = limit.rlim_cur;
    return setrlimit(RLIMIT_DATA, &limit) == 0;
}

size_t sh_limit_taken(void)
{
    size_t used = before == 0 ? 0 : sh_limit_used();

    return used > before ? used - before : 0;
}
