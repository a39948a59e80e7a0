/* SPDX-License-Identifier: MIT */
/* memory/slices.c - getting, freeing, retiring: see slices.h. */
#include "memory/slices.h"

#include <pthread.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/self.h"
#include "memory/carve.h"
#include "memory/pages.h"

/* What a process has for itself of a shared heap. */
struct sh_home {
    pid_t process;
    unsigned owner;
    pthread_mutex_t lock;                /* of what follows */
    uint64_t is_run[SH_SLICES_MAX / 64]; /* slices that begin one of ours */
    struct sh_carver carver;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of place_of */
static pid_t place_of[SH_HEAPS]; /* the process that made a heap of it */

static unsigned take_place(void)
{
    pid_t self = getpid();
    unsigned i = 0;

    pthread_mutex_lock(&lock);
    while (i < SH_HEAPS && place_of[i] == self)
        i++;
    if (i < SH_HEAPS) {
        place_of[i] = self;
        sh_self()->heaps[i] = NULL; /* or of our parent */
    }
    pthread_mutex_unlock(&lock);
    return i;
}

static void give_place(unsigned i)
{
    pthread_mutex_lock(&lock);
    place_of[i] = 0;
    pthread_mutex_unlock(&lock);
}

struct sh_slices *sh_slices_new(struct sh_arena *a, size_t bytes)
{
    unsigned place = take_place();
    struct sh_slices *s = place < SH_HEAPS ? sh_directory_new(a, bytes) : NULL;

    if (s == NULL) {
        if (place < SH_HEAPS)
            give_place(place);
        return NULL;
    }
    s->place = place;
    return s;
}

bool sh_slices_join(struct sh_slices *s, unsigned owner)
{
    struct sh_home *h;

    SH_ASSERT(owner > 0 && owner < SH_OWNERS_MAX);
    SH_ASSERT(sh_self()->heaps[s->place] == NULL ||
              sh_self()->heaps[s->place]->process != getpid());
    h = sh_pages_map(sizeof *h, SH_PAGES_RESERVE);
    if (h == NULL)
        return false;
    h->process = getpid();
    h->owner = owner;
    if (pthread_mutex_init(&h->lock, NULL) != 0) {
        sh_pages_unmap(h, sizeof *h);
        return false;
    }
    sh_carver_init(&h->carver, s, owner);
    sh_self()->heaps[s->place] = h;
    return true;
}

void sh_slices_leave(struct sh_slices *s)
{
    struct sh_home *h = sh_self()->heaps[s->place];

    if (h != NULL) {
        SH_ASSERT(h->process == getpid());
        sh_self()->heaps[s->place] = NULL;
        sh_carver_fini(&h->carver);
        pthread_mutex_destroy(&h->lock);
        sh_pages_unmap(h, sizeof *h);
    }
    if (place_of[s->place] == getpid())
        give_place(s->place);
}

void sh_slices_forget(struct sh_slices *s)
{
    struct sh_home *h = sh_self()->heaps[s->place];

    sh_self()->heaps[s->place] = NULL;
    if (h == NULL)
        return;
    pthread_mutex_destroy(&h->lock);
    sh_pages_unmap(h, sizeof *h);
}

static struct sh_home *home_of(const struct sh_slices *s)
{
    struct sh_home *h = sh_self()->heaps[s->place];

    SH_ASSERT(h != NULL && h->process == getpid());
    return h;
}

uint64_t sh_slices_scratch(struct sh_slices *s)
{
    return sh_name_scratch(home_of(s)->owner);
}

static size_t carved(size_t size)
{
    return size < SH_GRANULE ? SH_GRANULE : size;
}

/* -- the owner takes back -- */

/* Nobody's, in a slice of ours; under our lock. Somebody of this process may
 * have been here before. */
static void take_back(struct sh_home *h, struct sh_slices *s, struct sh_row *r)
{
    char *p;
    size_t size;
    unsigned i;

    if (sh_load_acq(&r->name) != SH_NAME_FREED) /* acquire: freed */
        return;
    p = sh_row_start(s, r);
    size = sh_row_size(r);
    i = sh_slice_of(s, p);
    sh_store_rlx(&r->name, SH_NAME_NONE); /* relaxed: only we make another */
    if (size <= sh_slice_block_max(s)) {
        sh_uncarve(&h->carver, p, carved(size));
        return;
    }
    h->is_run[i / 64] &= ~((uint64_t)1 << i % 64);
    sh_slice_give(s, i);
}

static bool take_back_freed(void *arg, struct sh_slices *s, struct sh_row *r,
                            uint64_t name)
{
    if (name == SH_NAME_FREED)
        take_back(arg, s, r);
    return true;
}

static void drain_slice(struct sh_home *h, struct sh_slices *s, unsigned i)
{
    if (sh_xchg_sc(&s->slice[i].mail, 0) == 0) /* seq_cst: mail */
        return;
    for (unsigned w = i * s->words; w < (i + 1) * s->words; w++) {
        uint64_t bits = sh_load_sc(&s->mail[w]); /* seq_cst: mail */

        if (bits != 0)
            bits = sh_xchg_sc(&s->mail[w], 0); /* seq_cst: mail */
        for (; bits != 0; bits &= bits - 1)
            sh_chunk_walk(s, (size_t)w * 64 + (size_t)__builtin_ctzll(bits),
                          take_back_freed, h);
    }
}

/* All that others have told us; under our lock. */
static void drain(struct sh_home *h, struct sh_slices *s)
{
    sh_store_sc(&s->post[h->owner], 0); /* seq_cst: mail */
    for (unsigned w = 0; w < SH_SLICES_MAX / 64; w++) {
        uint64_t bits = h->is_run[w] | h->carver.is_part[w];

        for (; bits != 0; bits &= bits - 1)
            drain_slice(h, s, w * 64 + (unsigned)__builtin_ctzll(bits));
    }
}

/* -- get -- */

static void *get_run(struct sh_home *h, struct sh_slices *s, size_t size)
{
    size_t n = ((size - 1) >> s->shift) + 1;
    unsigned i;

    if (n > s->count)
        return NULL;
    i = sh_slice_claim(s, (unsigned)n, h->owner);
    if (i == SH_SLICES_MAX)
        return NULL;
    h->is_run[i / 64] |= (uint64_t)1 << i % 64;
    return sh_slice_base(s, i);
}

void *sh_slices_get(struct sh_slices *s, size_t size)
{
    struct sh_home *h = home_of(s);
    void *p;

    SH_ASSERT(size > 0);
    pthread_mutex_lock(&h->lock);
    if (sh_load_rlx(&s->post[h->owner]) != 0) /* relaxed: drain orders it */
        drain(h, s);
    p = size > sh_slice_block_max(s) ? get_run(h, s, size)
                                     : sh_carve(&h->carver, carved(size));
    if (p != NULL)
        sh_row_make(s, p, size, sh_name_scratch(h->owner));
    pthread_mutex_unlock(&h->lock);
    return p;
}

void sh_slices_trim(struct sh_slices *s)
{
    struct sh_home *h = home_of(s);

    pthread_mutex_lock(&h->lock);
    drain(h, s);
    sh_carver_trim(&h->carver);
    pthread_mutex_unlock(&h->lock);
}

/* -- sweep: who has an orphan, and looks whether something is left -- */

enum sweep_how {
    SWEEP_QUICK, /* up to the first block */
    SWEEP_FREED, /* and all that is FREED has its pages given back */
    SWEEP_PAGES  /* and all other pages that no block touches */
};

struct sweep {
    enum sweep_how how;
    bool live;
    char *end; /* of the last block that was seen */
};

/* The whole pages of what lies between. */
static void discard_between(struct sh_slices *s, char *from, const char *to)
{
    size_t page = sh_pages_size(), skip = -(uintptr_t)from & (page - 1);
    uintptr_t end = (uintptr_t)to & ~(uintptr_t)(page - 1);

    if ((uintptr_t)from + skip < end)
        sh_arena_discard(s->arena, from + skip, end - (uintptr_t)from - skip);
}

static bool sweep_row(void *arg, struct sh_slices *s, struct sh_row *r,
                      uint64_t name)
{
    struct sweep *w = arg;
    char *p = sh_row_start(s, r);

    if (name == SH_NAME_FREED) {
        discard_between(s, p, p + sh_row_size(r));
        sh_store_rlx(&r->name, SH_NAME_NONE); /* relaxed: we are alone */
        return true;
    }
    w->live = true;
    if (w->how == SWEEP_PAGES)
        discard_between(s, w->end, p);
    w->end = p + sh_row_size(r);
    return w->how != SWEEP_QUICK;
}

/* Is a block left? Chunks without one before the first need not be looked at
 * again, since none comes to an orphan. */
static bool sweep_once(struct sh_slices *s, unsigned i, enum sweep_how how)
{
    struct sweep w = { how, false, sh_slice_base(s, i) };

    for (unsigned k = i * s->words; k < (i + 1) * s->words; k++) {
        /* relaxed: we are alone */
        uint64_t bits = sh_load_rlx(&s->touched[k]);

        for (uint64_t rest = bits; rest != 0; rest &= rest - 1) {
            size_t chunk = (size_t)k * 64 + (size_t)__builtin_ctzll(rest);

            if (!sh_chunk_walk(s, chunk, sweep_row, &w))
                return true;
            if (w.live)
                continue;
            bits &= ~(rest & -rest);
            sh_store_rlx(&s->touched[k], bits); /* relaxed: we are alone */
        }
    }
    if (w.live && how == SWEEP_PAGES)
        discard_between(s, w.end, sh_slice_base(s, i) + s->slice_bytes);
    return w.live;
}

/* The slice is ours, alone: until nothing was freed meanwhile. */
static void sweep_on(struct sh_slices *s, unsigned i, enum sweep_how how)
{
    const uint32_t ours = sh_slice_word(SH_SLICE_SWEPT, home_of(s)->owner);

    while (sweep_once(s, i, how)) {
        uint32_t word = ours;

        if (sh_cas_sc(&s->slice[i].word, &word, /* seq_cst: orphan */
                      sh_slice_word(SH_SLICE_ORPHAN, 0)))
            return;
        sh_store_sc(&s->slice[i].word, ours); /* seq_cst: orphan */
        how = SWEEP_FREED;
    }
    sh_slice_give(s, i);
}

/* An orphan becomes ours. False if it is none, or somebody else, who sweeps
 * it, will look again. */
static bool sweep_begin(struct sh_slices *s, unsigned i)
{
    const uint32_t ours = sh_slice_word(SH_SLICE_SWEPT, home_of(s)->owner);

    for (;;) {
        uint32_t word = sh_load_sc(&s->slice[i].word); /* seq_cst: orphan */

        switch (sh_slice_state(word)) {
        case SH_SLICE_ORPHAN:
            if (sh_cas_sc(&s->slice[i].word, &word, ours)) /* seq_cst: orphan */
                return true;
            break;
        case SH_SLICE_SWEPT:
            if ((word & SH_SLICE_AGAIN) != 0 ||
                sh_cas_sc(&s->slice[i].word, &word, /* seq_cst: orphan */
                          word | SH_SLICE_AGAIN))
                return false;
            break;
        default:
            return false;
        }
    }
}

/* -- put -- */

/* Owner shall look at that chunk. */
static void tell(struct sh_slices *s, unsigned i, size_t chunk, unsigned owner)
{
    sh_or_sc(&s->mail[chunk / 64], /* seq_cst: mail */
             (uint64_t)1 << chunk % 64);
    if (sh_load_sc(&s->slice[i].mail) == 0) /* seq_cst: mail */
        sh_store_sc(&s->slice[i].mail, 1);  /* seq_cst: mail */
    if (sh_load_sc(&s->post[owner]) == 0)   /* seq_cst: mail */
        sh_store_sc(&s->post[owner], 1);    /* seq_cst: mail */
}

/* It is FREED: whoever has its slice shall know. */
static void after_free(struct sh_slices *s, struct sh_row *r)
{
    struct sh_home *h = home_of(s);
    unsigned i = (unsigned)(sh_chunk_of(s, r) / (s->words * 64u));
    uint32_t word = sh_load_sc(&s->slice[i].word); /* seq_cst: orphan */

    if (word == sh_slice_word(SH_SLICE_OWNED, h->owner)) {
        pthread_mutex_lock(&h->lock);
        take_back(h, s, r);
        pthread_mutex_unlock(&h->lock);
    } else if (sh_slice_state(word) == SH_SLICE_OWNED) {
        tell(s, i, sh_chunk_of(s, r), sh_slice_who(word));
    } else if (sweep_begin(s, i)) {
        struct sweep w = { SWEEP_QUICK, false, NULL };

        /* relaxed: if it is not FREED, another was here before */
        if (sh_load_rlx(&r->name) == SH_NAME_FREED)
            sweep_row(&w, s, r, SH_NAME_FREED);
        sweep_on(s, i, SWEEP_QUICK);
    }
}

bool sh_slices_put_named(struct sh_slices *s, void *p, uint64_t name)
{
    struct sh_row *r = sh_row_at(s, p);
    uint64_t now = r == NULL ? SH_NAME_NONE
                             : sh_load_acq(&r->name); /* acquire: row */

    if (now != name || !sh_row_is(s, r, now, p) ||
        !sh_cas_sc(&r->name, &now, SH_NAME_FREED)) /* seq_cst: freed, orphan */
        return false;
    after_free(s, r);
    return true;
}

bool sh_slices_put(struct sh_slices *s, void *p)
{
    struct sh_row *r = sh_row_at(s, p);
    uint64_t now = r == NULL ? SH_NAME_NONE
                             : sh_load_acq(&r->name); /* acquire: row */

    do {
        if (r == NULL || !sh_row_is(s, r, now, p))
            return false;
    } while (!sh_cas_sc(&r->name, &now, /* seq_cst: freed, orphan */
                        SH_NAME_FREED));
    after_free(s, r);
    return true;
}

bool sh_slices_rename(struct sh_slices *s, void *p, uint64_t from, uint64_t to)
{
    struct sh_row *r = sh_row_at(s, p);

    SH_ASSERT(sh_name_is_live(to));
    /* acquire: row */
    if (r == NULL || !sh_row_is(s, r, sh_load_acq(&r->name), p))
        return false;
    /* Before it, so that retire does not miss it. relaxed: the name orders */
    if (to >> 56 == SH_NAME_SCRATCH >> 56)
        sh_store_rlx(&s->slice[sh_slice_of(s, p)].guests, 1);
    return sh_cas_acqrel(&r->name, &from, to); /* acq_rel: row */
}

void sh_slices_publish(struct sh_slices *s, void *p, uint64_t name)
{
    struct sh_row *r = sh_row_at(s, p);
    uint64_t now = r == NULL ? SH_NAME_NONE
                             : sh_load_acq(&r->name); /* acquire: row */
    bool renamed = sh_slices_rename(s, p, now, name);

    (void)renamed;
    SH_ASSERT(renamed);
}

/* -- retire, and what else looks at all -- */

static bool has_blocks(uint32_t word)
{
    return sh_slice_state(word) != SH_SLICE_FREE &&
           sh_slice_state(word) != SH_SLICE_TAIL;
}

struct filter {
    sh_slices_keep *keep;
    void *arg;
    size_t bytes; /* of what was not kept */
};

static bool filter_row(void *arg, struct sh_slices *s, struct sh_row *r,
                       uint64_t name)
{
    struct filter *f = arg;
    size_t size = sh_row_size(r);

    if (name == SH_NAME_FREED ||
        f->keep(f->arg, sh_row_start(s, r), size, name))
        return true;
    if (!sh_cas_sc(&r->name, &name, SH_NAME_FREED)) /* seq_cst: freed, orphan */
        return true;
    f->bytes += size;
    after_free(s, r);
    return true;
}

size_t sh_slices_filter(struct sh_slices *s, sh_slices_keep *keep, void *arg)
{
    struct filter f = { keep, arg, 0 };

    for (unsigned i = 0; i < s->count; i++) {
        if (has_blocks(sh_load_acq(&s->slice[i].word))) /* acquire: slice */
            sh_slice_walk(s, i, filter_row, &f);
    }
    return f.bytes;
}

static bool add_size(void *arg, void *p, size_t size, uint64_t name)
{
    (void)p;
    (void)name;
    *(size_t *)arg += size;
    return true;
}

size_t sh_slices_bytes(struct sh_slices *s)
{
    size_t bytes = 0;

    sh_slices_filter(s, add_size, &bytes);
    return bytes;
}

static bool is_not_scratch(void *arg, void *p, size_t size, uint64_t name)
{
    (void)p;
    (void)size;
    return name != *(const uint64_t *)arg;
}

/* A slice that others still allocate in, or an orphan. The dead process may
 * have had blocks in it, and may have freed one and not come to say so. */
static void look_again(struct sh_slices *s, unsigned i, struct filter *f)
{
    uint32_t word = sh_load_sc(&s->slice[i].word); /* seq_cst: orphan */

    if (!has_blocks(word))
        return;
    /* relaxed: whoever set it has died since, or is not concerned */
    if (sh_load_rlx(&s->slice[i].guests) != 0)
        sh_slice_walk(s, i, filter_row, f);
    if (sh_slice_state(word) != SH_SLICE_OWNED) {
        if (sweep_begin(s, i))
            sweep_on(s, i, SWEEP_FREED);
        return;
    }
    for (unsigned w = i * s->words; w < (i + 1) * s->words; w++) {
        uint64_t bits = sh_load_acq(&s->touched[w]); /* acquire: touched */

        sh_or_sc(&s->mail[w], bits); /* seq_cst: mail */
    }
    sh_store_sc(&s->slice[i].mail, 1);            /* seq_cst: mail */
    sh_store_sc(&s->post[sh_slice_who(word)], 1); /* seq_cst: mail */
}

size_t sh_slices_retire(struct sh_slices *s, unsigned owner)
{
    uint64_t scratch = sh_name_scratch(owner);
    struct filter f = { is_not_scratch, &scratch, 0 };
    uint32_t ours = sh_slice_word(SH_SLICE_SWEPT, home_of(s)->owner);

    SH_ASSERT(owner != home_of(s)->owner);
    for (unsigned i = 0; i < s->count; i++) {
        uint32_t word = sh_load_sc(&s->slice[i].word); /* seq_cst: orphan */

        if ((sh_slice_state(word) != SH_SLICE_OWNED &&
             sh_slice_state(word) != SH_SLICE_SWEPT) ||
            sh_slice_who(word) != owner)
            continue;
        if (sh_slice_state(word) == SH_SLICE_OWNED)
            sh_slice_walk(s, i, filter_row, &f);
        /* Not an orphan in between, whose pages nobody would look at. */
        sh_store_sc(&s->slice[i].word, ours); /* seq_cst: orphan */
        sweep_on(s, i, SWEEP_PAGES);
    }
    for (unsigned i = 0; i < s->count; i++)
        look_again(s, i, &f);
    return f.bytes;
}
