/* SPDX-License-Identifier: MIT */
/*
 * process/dwarf.c - functions and lines by libdw: see dwarf.h.
 *
 * Idea. A session knows of a file once an address in it was asked for, and
 * forgets all when it is closed: libdw maps files and keeps what it has read.
 * Separate debugging information is looked for by its build id in
 * /usr/lib/debug, and nowhere else: libdw's own search may ask a server.
 *
 * The names of libdw's functions stand in a list, as they are found in the
 * library when it is loaded. It is not unloaded: the next crash needs it.
 */
#include "process/dwarf.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

#define FILE_BYTES_MAX ((off_t)512 << 20)
#define MODULES_MAX 16u
#define UNITS_MAX 100000u /* that are looked at, one by one, for an address */

/* clang-format off */
#define FUNCTIONS(X)                                                       \
    X(dwfl_begin) X(dwfl_end) X(dwfl_report_begin_add) X(dwfl_report_elf)  \
    X(dwfl_report_end) X(dwfl_module_info) X(dwfl_module_build_id)         \
    X(dwfl_module_addrname) X(dwfl_module_addrdie) X(dwfl_module_nextcu)   \
    X(dwarf_haspc) X(dwarf_getsrc_die) X(dwarf_linesrc) X(dwarf_lineno)    \
    X(dwarf_getscopes) X(dwarf_getscopes_die) X(dwarf_tag)                 \
    X(dwarf_diename) X(dwarf_attr) X(dwarf_formudata) X(dwarf_getsrcfiles) \
    X(dwarf_filesrc)
/* clang-format on */

struct lib {
#define MEMBER(f) __typeof__(f) *f;
    FUNCTIONS(MEMBER)
#undef MEMBER
};

struct known {
    char path[256];
    Dwfl_Module *module; /* NULL: nothing to be read */
    struct sh_dwarf *within;
    bool asked; /* for separate information */
};

struct sh_dwarf {
    struct lib lib;
    Dwfl_Callbacks callbacks;
    Dwfl *dwfl;
    struct known known[MODULES_MAX];
    unsigned known_count;
};

/* ISO C has no way from an address to a function. */
static bool find_function(void *library, const char *name, void *to)
{
    void *f = dlsym(library, name);

    memcpy(to, &f, sizeof f);
    return f != NULL;
}

static bool load(struct lib *lib)
{
    void *library = sh_fault() ? NULL : dlopen("libdw.so.1", RTLD_NOW);
    bool whole = library != NULL;

#define FIND(f) whole = whole && find_function(library, #f, &lib->f);
    FUNCTIONS(FIND)
#undef FIND
    return whole;
}

/* Separate debugging information, of a file or shared by several, by the build
 * id of the file: the first question is for the former. */
static int find_separate(Dwfl_Module *module, void **user, const char *name,
                         Dwarf_Addr base, const char *file, const char *link,
                         GElf_Word sum, char **path_out)
{
    struct known *known = *user;
    const unsigned char *id;
    GElf_Addr where;
    char path[160] = "/usr/lib/debug/.build-id/";
    size_t length = strlen(path);
    int bytes;

    (void)name, (void)base, (void)file, (void)link, (void)sum;
    if (known->asked)
        return -1;
    known->asked = true;
    bytes = known->within->lib.dwfl_module_build_id(module, &id, &where);
    if (bytes < 2 || bytes > 32)
        return -1;
    for (int i = 0; i < bytes; i++)
        length += (size_t)snprintf(path + length, sizeof path - length,
                                   i == 0 ? "%02x/" : "%02x", id[i]);
    (void)snprintf(path + length, sizeof path - length, ".debug");
    *path_out = sh_fault() ? NULL : strdup(path);
    return *path_out == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
}

/* It is told where all is. */
static int find_nothing(Dwfl_Module *module, void **user, const char *name,
                        Dwarf_Addr base, char **path_out, Elf **elf_out)
{
    (void)module, (void)user, (void)name, (void)base;
    (void)path_out, (void)elf_out;
    return -1;
}

static int find_section(Dwfl_Module *module, void **user, const char *name,
                        Dwarf_Addr base, const char *section, GElf_Word index,
                        const GElf_Shdr *header, Dwarf_Addr *address_out)
{
    (void)module, (void)user, (void)name, (void)base;
    (void)section, (void)index, (void)header, (void)address_out;
    return -1;
}

struct sh_dwarf *sh_dwarf_open(void)
{
    struct sh_dwarf *d = sh_fault() ? NULL : calloc(1, sizeof *d);

    if (d == NULL)
        return NULL;
    d->callbacks = (Dwfl_Callbacks){ .find_elf = find_nothing,
                                     .find_debuginfo = find_separate,
                                     .section_address = find_section };
    if (load(&d->lib))
        d->dwfl = d->lib.dwfl_begin(&d->callbacks);
    if (d->dwfl != NULL)
        return d;
    free(d);
    return NULL;
}

void sh_dwarf_close(struct sh_dwarf *d)
{
    if (d == NULL)
        return;
    d->lib.dwfl_end(d->dwfl);
    free(d);
}

/* -- files -- */

static int open_file(const char *path)
{
    struct stat s;
    int fd = path[0] != '/' || sh_fault() ? -1
                                          : open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode) &&
        s.st_size <= FILE_BYTES_MAX)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void report(struct sh_dwarf *d, struct known *k,
                   const struct sh_module *m)
{
    int fd = open_file(m->path);
    void **user;

    if (fd < 0)
        return;
    d->lib.dwfl_report_begin_add(d->dwfl);
    k->module = d->lib.dwfl_report_elf(d->dwfl, m->name, m->path, fd, m->bias,
                                       /* bias */ true);
    (void)d->lib.dwfl_report_end(d->dwfl, NULL, NULL);
    if (k->module == NULL) {
        close(fd);
        return;
    }
    (void)d->lib.dwfl_module_info(k->module, &user, NULL, NULL, NULL, NULL,
                                  NULL, NULL);
    *user = k;
}

static Dwfl_Module *module_of(struct sh_dwarf *d, const struct sh_module *m)
{
    struct known *k;

    for (unsigned i = 0; i < d->known_count; i++)
        if (strcmp(d->known[i].path, m->path) == 0)
            return d->known[i].module;
    if (d->known_count == MODULES_MAX)
        return NULL;
    k = &d->known[d->known_count++];
    memcpy(k->path, m->path, sizeof k->path);
    k->within = d;
    report(d, k, m);
    return k->module;
}

/* -- functions and lines -- */

static const char *without_folders(const char *path)
{
    const char *slash = path == NULL ? NULL : strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* The unit that pc was compiled in. Not every compiler makes an index. */
static Dwarf_Die *unit_of(const struct lib *lib, Dwfl_Module *module,
                          uintptr_t pc, Dwarf_Addr *bias)
{
    Dwarf_Die *unit = lib->dwfl_module_addrdie(module, pc, bias);

    if (unit != NULL)
        return unit;
    for (unsigned i = 0; i < UNITS_MAX; i++) {
        unit = lib->dwfl_module_nextcu(module, unit, bias);
        if (unit == NULL || lib->dwarf_haspc(unit, pc - *bias) > 0)
            break;
    }
    return unit;
}

static void find_line(const struct lib *lib, Dwarf_Die *unit, Dwarf_Addr pc,
                      struct sh_spot *spot)
{
    Dwarf_Line *line = lib->dwarf_getsrc_die(unit, pc);

    spot->file = NULL;
    spot->line = 0;
    if (line == NULL || lib->dwarf_lineno(line, &spot->line) != 0)
        return;
    spot->file = without_folders(lib->dwarf_linesrc(line, NULL, NULL));
}

static Dwarf_Word number(const struct lib *lib, Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;

    if (lib->dwarf_attr(die, name, &attribute) == NULL ||
        lib->dwarf_formudata(&attribute, &value) != 0)
        return 0;
    return value;
}

/* Where the function of an inlined scope was called. */
static void find_call(const struct lib *lib, Dwarf_Die *unit, Dwarf_Die *scope,
                      struct sh_spot *spot)
{
    Dwarf_Files *files = NULL;
    size_t count = 0;
    Dwarf_Word file = number(lib, scope, DW_AT_call_file);

    spot->file = NULL;
    spot->line = (int)number(lib, scope, DW_AT_call_line);
    if (lib->dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count)
        spot->file =
            without_folders(lib->dwarf_filesrc(files, file, NULL, NULL));
}

/* From the innermost scope outwards, up to the function that was compiled. */
static size_t find_scopes(const struct lib *lib, Dwarf_Die *unit, Dwarf_Addr pc,
                          struct sh_spot *to, size_t max)
{
    Dwarf_Die *inner = NULL, *scopes = NULL;
    int count = lib->dwarf_getscopes(unit, pc, &inner);
    struct sh_spot spot;
    size_t n = 0;

    find_line(lib, unit, pc, &spot);
    /* The first answer has, around what was inlined, where it was written; the
     * second where it went. */
    if (count > 0)
        count = lib->dwarf_getscopes_die(&inner[0], &scopes);
    for (int i = 0; i < count && n < max; i++) {
        int tag = lib->dwarf_tag(&scopes[i]);

        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        spot.function = lib->dwarf_diename(&scopes[i]);
        to[n++] = spot;
        if (tag == DW_TAG_subprogram)
            break;
        find_call(lib, unit, &scopes[i], &spot);
    }
    free(inner);
    free(scopes);
    return n;
}

size_t sh_dwarf_find(struct sh_dwarf *d, const struct sh_module *m,
                     uintptr_t pc, struct sh_spot *to, size_t max)
{
    Dwfl_Module *module = d == NULL ? NULL : module_of(d, m);
    Dwarf_Addr bias = 0;
    Dwarf_Die *unit;
    size_t n = 0;

    if (module == NULL || max == 0)
        return 0;
    unit = unit_of(&d->lib, module, pc, &bias);
    if (unit != NULL)
        n = find_scopes(&d->lib, unit, pc - bias, to, max);
    if (n > 0)
        return n;
    to[0] =
        (struct sh_spot){ .function = d->lib.dwfl_module_addrname(module, pc) };
    return to[0].function != NULL;
}
