/* SPDX-License-Identifier: MIT */
/*
 * task/handle.c - looking handles up, lending them, giving them back.
 *
 * Idea. A count of references is what a death leaves wrong, so the truth is
 * one word a handle: for the primary handle the flags LENT and GONE of the
 * state word, for an alias a word of its own:
 *
 *     generation 27 | - 11 | lent 1 | held 1 | target 24
 *
 * Giving back is one CAS of that word, so it happens once. Who is last is
 * known without a count if there never were aliases (most futures). If there
 * were, `hold` says how many are held; it repeats what the alias words say.
 *
 *   retain   1 set ALIASED in state   2 hold + 1   3 fill the alias
 *   give     alias: 1 free the word   2 hold - 1   3 if 0 and GONE: close
 *            primary: 1 set GONE                   3 if ALIASED: close
 *   pin      1 and 2 of retain, for as long as a wait takes; unpin: 2 and 3
 *            of give
 *   close    hold: (generation, 0) -> (generation + 1, 0): one does it, and
 *            only while nobody holds; a retain that comes too late finds the
 *            generation gone. In place of the 0 there is then who did it.
 *
 * A worker process tags hold as it counts, if nobody has, and takes the tag off
 * when the alias, or the run that waits, says so too; before it is counted no
 * more it is tagged first. So a tag of the dead tells that it is counted, and
 * its post for whom.
 *
 * Edges.
 *   registry task/registry.c
 *   death    process/recover.c
 *   settled  settle: write state -> find: read state      value, error
 *   accepted submit: write state -> find: read state      the record's fields
 *   alias    retain: write word -> find: read word        the target
 *   last     give primary: set GONE, then read hold || give alias: lower
 *            hold, then read GONE; all seq_cst: one of them sees the other
 *   idle     give: what the last holder did before -> RELEASING, by the
 *            acq_rel chain of CASes on state and hold
 *
 * Crash. Between 1 and 2 of retain nothing is held, and before 3 the task that
 * retains has noted the name. Between 2 and 3, and between 1 and 2 of give,
 * hold is one too high: by the tag, recovery lowers it. If two do this at the
 * same record at the same time, the second has no tag, and if it dies there the
 * record stays until the pool goes. Before 3 of give, and in the midst of it,
 * it is recovery that closes. What the dead waited for it unpins.
 */
#include "task/handle.h"

#include <sched.h>

#define ALIAS_TARGET ((uint64_t)0xffffff)
#define ALIAS_HELD ((uint64_t)1 << 24)
#define ALIAS_LENT ((uint64_t)1 << 25)

static bool alias_matches(uint64_t word, uint64_t handle)
{
    return (word & ALIAS_HELD) != 0 &&
           word >> SH_ALIAS_SHIFT == (handle & SH_HANDLE_GENERATION) &&
           ((word & ALIAS_LENT) != 0) == ((handle & SH_HANDLE_LENT) != 0);
}

static bool primary_matches(uint64_t word, uint64_t handle)
{
    return sh_handle_same_use(handle, word) && sh_is_live(word) &&
           (word & SH_GONE) == 0 &&
           ((word & SH_LENT) != 0) == ((handle & SH_HANDLE_LENT) != 0);
}

/* -- a worker process is counted, or not -- */

/* In hold beside the generation and SH_HOLD_SCOPE: a tag, and the count. */
#define HOLD_COUNT ((uint32_t)0x7fffff)
#define HOLD_TAG ((uint64_t)0xff << 23)
#define TAG_LOOKS 10000u /* until another's tag is gone */

static uint64_t tag_of(unsigned place)
{
    return place <= 0xff ? (uint64_t)place << 23 : 0;
}

/* 0 for who does not die alone, or has no post to say it in. */
static uint64_t tag_here(const struct sh_pool *pool)
{
    return SH_UNLIKELY(pool->shared) && sh_post_here(pool) != NULL
               ? tag_of(sh_self()->served_as)
               : 0;
}

/* What the tag of ours is about, and that it is gone. */
static void say_counting(const struct sh_ref *ref, uint64_t whom)
{
    struct sh_post *post = &ref->pool->posts[sh_self()->served_as - 1];

    sh_store_rel(&post->counting_for, whom); /* release: death */
    sh_store_rel(&post->counting,
                 sh_index_of(ref->pool, ref->record)); /* release: death */
}

static void unsay_counting(const struct sh_ref *ref)
{
    /* release: death */
    sh_store_rel(&ref->pool->posts[sh_self()->served_as - 1].counting, 0);
}

/* There is room for one tag. Another's goes in a moment, or is repaired if that
 * process has died: so it is waited for, if not for ever. What hold is then. */
static uint64_t await_no_tag(const struct sh_ref *ref, uint64_t hold,
                             uint64_t tag)
{
    for (unsigned n = 0; tag != 0 && (hold & HOLD_TAG) != 0 &&
                         (hold & HOLD_TAG) != tag && n < TAG_LOOKS;
         n++) {
        sched_yield();
        hold = sh_load_acq(&ref->record->hold); /* acquire: idle */
    }
    return hold;
}

/* Count one more: false if the use of the record that word is of has ended. */
static bool raise_hold(const struct sh_ref *ref, uint64_t word, uint64_t tag)
{
    uint64_t next, hold = sh_load_acq(&ref->record->hold); /* acquire: idle */

    do {
        hold = await_no_tag(ref, hold, tag);
        if ((uint32_t)(hold >> 32) != sh_generation_of(word))
            return false;
        SH_ASSERT(((uint32_t)hold & HOLD_COUNT) < HOLD_COUNT);
        next = hold + 1;
        if ((hold & HOLD_TAG) == 0)
            next |= tag;
    } while (!sh_cas_sc(&ref->record->hold, &hold, next)); /* seq_cst: last */
    return true;
}

SH_HOT void sh_handle_pinned(const struct sh_ref *ref)
{
    uint64_t tag = tag_here(ref->pool);
    uint64_t hold;

    if (SH_LIKELY(tag == 0))
        return;
    hold = sh_load_rlx(&ref->record->hold); /* relaxed: the CAS validates it */
    while ((hold & HOLD_TAG) == tag &&
           !sh_cas_acqrel(&ref->record->hold, &hold,
                          hold & ~HOLD_TAG)) /* acq_rel: last */
        continue;
    unsay_counting(ref);
}

SH_HOT void sh_handle_unpinning(const struct sh_ref *ref, uint64_t whom)
{
    uint64_t tag = tag_here(ref->pool);
    uint64_t hold;

    if (SH_LIKELY(tag == 0))
        return;
    say_counting(ref, whom);
    hold = sh_load_rlx(&ref->record->hold); /* relaxed: the CAS validates it */
    do {
        hold = await_no_tag(ref, hold, tag);
    } while ((hold & HOLD_TAG) == 0 &&
             (uint32_t)(hold >> 32) == sh_generation_of(ref->word) &&
             !sh_cas_acqrel(&ref->record->hold, &hold,
                            hold | tag)); /* acq_rel: last */
}

/* Lower hold by what is counted. What is left of its lower half. */
static uint32_t lower_hold(const struct sh_ref *ref, uint32_t by,
                           uint32_t *generation_out)
{
    uint64_t tag = tag_here(ref->pool);
    uint64_t hold, next;

    if (SH_LIKELY(tag == 0)) {
        hold = sh_sub_sc(&ref->record->hold, by); /* seq_cst: last, idle */
        SH_ASSERT(((uint32_t)hold & HOLD_COUNT) >= by);
        *generation_out = (uint32_t)(hold >> 32);
        return (uint32_t)hold - by;
    }
    hold = sh_load_rlx(&ref->record->hold); /* relaxed: the CAS validates it */
    do {
        SH_ASSERT(((uint32_t)hold & HOLD_COUNT) >= by);
        next = hold - by;
        if ((hold & HOLD_TAG) == tag)
            next &= ~HOLD_TAG;
    } while (!sh_cas_sc(&ref->record->hold, &hold, next)); /* seq_cst: last,
                                                            * idle */
    unsay_counting(ref);
    *generation_out = (uint32_t)(next >> 32);
    return (uint32_t)next;
}

static bool is_alias(uint64_t handle)
{
    return (sh_handle_index(handle) & SH_ALIAS_BIT) != 0;
}

static struct sh_alias *alias_of(const struct sh_ref *ref)
{
    return sh_alias_at(ref->pool, sh_handle_index(ref->handle) & ~SH_ALIAS_BIT);
}

static int find_alias(struct sh_ref *ref)
{
    uint32_t index = sh_handle_index(ref->handle) & ~SH_ALIAS_BIT;
    uint64_t word;

    if (index == 0 || index >= ref->pool->aliases.capacity)
        return SHUNT_EINVAL;
    word = sh_load_acq(&alias_of(ref)->word); /* acquire: alias */
    if (!alias_matches(word, ref->handle))
        return SHUNT_EINVAL;
    ref->record = sh_record_at(ref->pool, (uint32_t)(word & ALIAS_TARGET));
    ref->word = sh_load_acq(&ref->record->state); /* acquire: settled */
    /* Still held: then the state was not that of a later use.
     * acquire: alias */
    return sh_load_acq(&alias_of(ref)->word) == word ? 0 : SHUNT_EINVAL;
}

static int find_primary(struct sh_ref *ref)
{
    uint32_t index = sh_handle_index(ref->handle);

    if (index == 0 || index >= ref->pool->records.capacity)
        return SHUNT_EINVAL;
    ref->record = sh_record_at(ref->pool, index);
    /* acquire: settled, accepted */
    ref->word = sh_load_acq(&ref->record->state);
    return primary_matches(ref->word, ref->handle) ? 0 : SHUNT_EINVAL;
}

static int find_reserved(struct sh_ref *ref)
{
    uint64_t value = ref->handle & (SH_HANDLE_LENT | SH_HANDLE_GENERATION);

    ref->record = NULL;
    ref->word = 0;
    ref->reserved = (unsigned)value;
    if (ref->pool != NULL && !sh_pool_is_ours(ref->pool))
        return sh_pool_refusal(ref->pool);
    if (value == SH_RESERVED_EMPTY)
        return 0;
    return value >= 1 && value <= sh_outcome_from(SHUNT_EBROKEN) ? 0
                                                                 : SHUNT_EINVAL;
}

SH_HOT int sh_handle_find(uint64_t handle, enum sh_handle_use use,
                          struct sh_ref *ref_out)
{
    unsigned id = sh_handle_pool(handle);

    ref_out->handle = handle;
    ref_out->reserved = 0;
    ref_out->pool = sh_load_acq(&sh_self()->pools[id]); /* acquire: registry */
    if (sh_handle_index(handle) == SH_HANDLE_RESERVED)
        return find_reserved(ref_out);
    if (ref_out->pool == NULL)
        return SHUNT_EINVAL;
    if (!sh_pool_is_ours(ref_out->pool))
        return sh_pool_refusal(ref_out->pool);
    if (use == SH_OWN && (handle & SH_HANDLE_LENT) != 0)
        return SHUNT_EINVAL;
    return is_alias(handle) ? find_alias(ref_out) : find_primary(ref_out);
}

bool sh_handle_lend(struct sh_ref *ref, uint64_t add_flags)
{
    SH_ASSERT(ref->record != NULL);
    SH_ASSERT((ref->handle & SH_HANDLE_LENT) == 0);
    if (is_alias(ref->handle)) {
        struct sh_alias *a = alias_of(ref);
        uint64_t word = sh_load_acq(&a->word); /* acquire: alias */

        do {
            if (!alias_matches(word, ref->handle))
                return false;
        } while (!sh_cas_acqrel(&a->word, &word,
                                word | ALIAS_LENT)); /*
                                                      * acq_rel: alias */
        ref->handle |= SH_HANDLE_LENT;
        ref->word = sh_load_acq(&ref->record->state); /* acquire: settled */
        return true;
    }
    for (;;) {
        uint64_t flags = SH_LENT | (sh_is_settled(ref->word) ? 0 : add_flags);

        if (!primary_matches(ref->word, ref->handle))
            return false;
        /* acq_rel: settled, idle */
        if (sh_cas_acqrel(&ref->record->state, &ref->word, ref->word | flags)) {
            ref->word |= flags;
            ref->handle |= SH_HANDLE_LENT;
            return true;
        }
    }
}

bool sh_handle_unlend(struct sh_ref *ref)
{
    SH_ASSERT(ref->record != NULL);
    SH_ASSERT((ref->handle & SH_HANDLE_LENT) != 0);
    uint64_t flags;

    if (is_alias(ref->handle)) {
        struct sh_alias *a = alias_of(ref);
        uint64_t word = sh_load_acq(&a->word); /* acquire: alias */

        do {
            if (!alias_matches(word, ref->handle))
                return false;
        } while (!sh_cas_acqrel(&a->word, &word,
                                word & ~ALIAS_LENT)); /*
                                                       * acq_rel: alias */
        ref->handle &= ~SH_HANDLE_LENT;
        return true;
    }
    do {
        if (!primary_matches(ref->word, ref->handle))
            return false;
        flags = SH_LENT;
        /* Nobody depends on it any more, and no edge is left to be freed: it
         * is as plain as if nobody had. relaxed: closed before it was DONE */
        if (sh_phase_of(ref->word) == SH_DONE &&
            (sh_load_rlx(&ref->record->edges) & 0xffffff) == SH_NONE)
            flags |= SH_WATCHED;
        /* acq_rel: settled, idle */
    } while (
        !sh_cas_acqrel(&ref->record->state, &ref->word, ref->word & ~flags));
    ref->word &= ~flags;
    ref->handle &= ~SH_HANDLE_LENT;
    return true;
}

/* Nobody holds the record any more, and this caller is the one to say so, if
 * the state is still as in ref. SH_GIVEN_INVALID if it is not. */
static enum sh_given orphan(struct sh_ref *ref, uint64_t flags)
{
    uint64_t w = ref->word;
    bool over = sh_phase_of(w) == SH_DONE && (w & SH_STAYS) == 0;
    uint64_t next = over ? sh_word_settled(w, SH_RELEASING, sh_owner_here(),
                                           sh_outcome_of(w))
                         : w | SH_ORPHAN;

    /* acq_rel: idle, settled */
    if (!sh_cas_acqrel(&ref->record->state, &ref->word, next | flags))
        return SH_GIVEN_INVALID;
    return over ? SH_GIVEN_LAST : SH_GIVEN;
}

/* What hold is when nobody holds any more, and who says so. */
static uint64_t closed_by(uint32_t generation, unsigned owner)
{
    return (uint64_t)(generation + 1) << 32 | owner;
}

static enum sh_given see_off(struct sh_ref *ref)
{
    enum sh_given given;

    ref->word = sh_load_acq(&ref->record->state); /* acquire: settled */
    do {
        given = orphan(ref, 0);
    } while (given == SH_GIVEN_INVALID);
    return given;
}

/* After a handle of a record with aliases was given back: if it was the last,
 * see the record off. */
static SH_HOT enum sh_given close_hold(struct sh_ref *ref, uint32_t generation)
{
    uint64_t hold = (uint64_t)generation << 32;
    uint64_t closed = closed_by(generation, sh_owner_here());

    if (!sh_cas_sc(&ref->record->hold, &hold, closed)) /* seq_cst: last, idle */
        return SH_GIVEN;
    return see_off(ref);
}

enum sh_given sh_handle_reclose(struct sh_ref *ref, unsigned owner)
{
    const uint64_t given = SH_ALIASED | SH_GONE;
    uint32_t generation = sh_generation_of(ref->word);

    if (!sh_is_live(ref->word) || (ref->word & given) != given ||
        (ref->word & SH_ORPHAN) != 0 ||
        /* relaxed: set before it was accepted */
        sh_load_rlx(&ref->record->kind) == SH_KIND_SCOPE)
        return SH_GIVEN;
    if (sh_load_sc(&ref->record->hold) ==
        closed_by(generation, owner)) /* seq_cst: last */
        return see_off(ref);
    return close_hold(ref, generation);
}

/* hold was lowered, and that is left of it. */
static enum sh_given lowered(struct sh_ref *ref, uint32_t left,
                             uint32_t generation)
{
    if (left > 0)
        return SH_GIVEN;
    ref->word = sh_load_sc(&ref->record->state); /* seq_cst: last */
    if ((ref->word & SH_GONE) == 0)
        return SH_GIVEN;
    return close_hold(ref, generation);
}

static enum sh_given lower_by(struct sh_ref *ref, uint32_t by)
{
    uint32_t generation, left = lower_hold(ref, by, &generation);

    return lowered(ref, left, generation);
}

SH_HOT enum sh_given sh_handle_unpin(struct sh_ref *ref)
{
    return lower_by(ref, 1);
}

enum sh_given sh_handle_unscope(struct sh_ref *ref)
{
    uint64_t hold = sh_load_sc(&ref->record->hold); /* seq_cst: last */

    do {
        if (!sh_handle_same_use(ref->handle, hold) ||
            (hold & SH_HOLD_SCOPE) == 0)
            return SH_GIVEN; /* who does it again finds it done */
    } while (!sh_cas_sc(&ref->record->hold, &hold,
                        hold & ~(uint64_t)SH_HOLD_SCOPE)); /* seq_cst: last,
                                                            * idle */
    return lowered(ref, (uint32_t)hold & ~SH_HOLD_SCOPE,
                   (uint32_t)(hold >> 32));
}

static enum sh_given give_alias(struct sh_ref *ref)
{
    uint32_t index = sh_handle_index(ref->handle) & ~SH_ALIAS_BIT;
    struct sh_alias *a = alias_of(ref);
    uint64_t word = sh_load_acq(&a->word); /* acquire: alias */
    uint64_t freed = ((word >> SH_ALIAS_SHIFT) + 1) << SH_ALIAS_SHIFT;
    struct sh_seat *seat = sh_seat_of(ref->pool);
    enum sh_given given;

    if (!alias_matches(word, ref->handle))
        return SH_GIVEN_INVALID;
    if (seat != NULL)
        sh_table_hand(&seat->aliases, index,
                      sh_index_of(ref->pool, ref->record));
    sh_handle_unpinning(ref, index);
    if (!sh_cas_acqrel(&a->word, &word, freed)) { /* acq_rel: alias, idle */
        if (seat != NULL)
            sh_table_unhand(&seat->aliases);
        return tag_here(ref->pool) == 0 || lower_by(ref, 0) != SH_GIVEN_LAST
                   ? SH_GIVEN_INVALID
                   : SH_GIVEN_LAST;
    }
    given = sh_handle_unpin(ref);
    /* Without memory for a seat, the alias is lost until the pool goes. */
    if (seat != NULL)
        sh_table_give_in_hand(&ref->pool->aliases, &seat->aliases);
    return given;
}

SH_HOT enum sh_given sh_handle_give(struct sh_ref *ref)
{
    SH_ASSERT(ref->record != NULL);
    if (is_alias(ref->handle))
        return give_alias(ref);
    for (;;) {
        uint64_t w = ref->word;

        if (!primary_matches(w, ref->handle))
            return SH_GIVEN_INVALID;
        if ((w & SH_ALIASED) == 0) {
            enum sh_given given = orphan(ref, SH_GONE);

            if (given != SH_GIVEN_INVALID)
                return given;
            /* seq_cst: last */
        } else if (sh_cas_sc(&ref->record->state, &ref->word, w | SH_GONE)) {
            return close_hold(ref, sh_generation_of(w));
        }
    }
}

SH_HOT bool sh_handle_pin(const struct sh_ref *ref, uint64_t whom)
{
    uint64_t tag = tag_here(ref->pool);
    uint64_t w = ref->word;

    while (!is_alias(ref->handle) && (w & SH_ALIASED) == 0) {
        if (!primary_matches(w, ref->handle))
            return false;
        if (sh_cas_acqrel(&ref->record->state, &w,
                          w | SH_ALIASED)) /*
                                            * acq_rel: last */
            break;
    }
    if (SH_UNLIKELY(tag != 0))
        say_counting(ref, whom);
    return raise_hold(ref, w, tag);
}

enum sh_given sh_handle_mend(struct sh_pool *pool, unsigned place,
                             struct sh_ref *ref_out)
{
    struct sh_post *post = &pool->posts[place - 1];
    /* acquire: death */
    uint32_t index = (uint32_t)sh_load_acq(&post->counting);
    uint64_t whom = sh_load_acq(&post->counting_for); /* acquire: death */
    uint64_t tag = tag_of(place), hold, next;
    bool noted;

    *ref_out =
        (struct sh_ref){ .pool = pool, .record = sh_record_at(pool, index) };
    sh_store_rel(&post->counting, 0);          /* release: death */
    hold = sh_load_sc(&ref_out->record->hold); /* seq_cst: last */
    if (index == 0 || tag == 0 || (hold & HOLD_TAG) != tag)
        return SH_GIVEN;
    if (whom < SH_ALIAS_BIT)
        noted = sh_alias_is_held(pool, (uint32_t)whom);
    else
        noted = sh_arena_has(pool->arena, (void *)(uintptr_t)whom) &&
                ((struct sh_run *)(uintptr_t)whom)->pinned;
    do {
        next = (hold & ~HOLD_TAG) - !noted;
    } while (!sh_cas_sc(&ref_out->record->hold, &hold, next)); /* seq_cst:
                                                                * last, idle */
    return lowered(ref_out, (uint32_t)next, (uint32_t)(next >> 32));
}

uint64_t sh_handle_alias(struct sh_seat *seat, const struct sh_ref *ref,
                         struct sh_run *run)
{
    struct sh_table *table = &ref->pool->aliases;
    uint32_t index = sh_table_take_in_hand(table, &seat->aliases,
                                           sh_index_of(ref->pool, ref->record));
    struct sh_alias *a;
    uint64_t word, handle;

    SH_ASSERT(sh_load_rlx(&seat->pool) == ref->pool); /* relaxed: ours */
    if (index == SH_NONE)
        return 0;
    a = sh_alias_at(ref->pool, index);
    word = sh_load_rlx(&a->word) >> SH_ALIAS_SHIFT; /* relaxed: it is ours */
    /* Begin beyond those of an old pool with this identifier. */
    if (word == 0)
        word = ref->pool->generation & SH_HANDLE_GENERATION;
    handle =
        sh_handle_make(ref->pool->id, index | SH_ALIAS_BIT, (uint32_t)word);
    /* Before it is good, so that who ends the run in our stead gives it back.
     */
    if (run != NULL)
        sh_run_note(run, handle);
    if (!sh_handle_pin(ref, index)) {
        if (run != NULL)
            sh_run_forget(run, handle);
        sh_table_give_in_hand(table, &seat->aliases);
        return 0;
    }
    sh_store_rel(&a->word,
                 word << SH_ALIAS_SHIFT | ALIAS_HELD |
                     sh_index_of(ref->pool, ref->record)); /*
                                                            * release: alias */
    sh_handle_pinned(ref);
    sh_table_unhand(&seat->aliases);
    return handle;
}

bool sh_alias_is_held(struct sh_pool *pool, uint32_t index)
{
    /* acquire: alias */
    return (sh_load_acq(&sh_alias_at(pool, index)->word) & ALIAS_HELD) != 0;
}

uint64_t sh_handle_alias_lent(const struct sh_ref *ref)
{
    struct sh_seat *seat = sh_seat_of(ref->pool);
    uint64_t alias = seat == NULL ? 0 : sh_handle_alias(seat, ref, NULL);
    struct sh_ref lent;

    if (alias == 0 || sh_handle_find(alias, SH_OWN, &lent) != 0 ||
        !sh_handle_lend(&lent, 0))
        return 0;
    return lent.handle;
}

/* How many handles but the primary one a record has. */
static uint32_t held(const struct sh_ref *ref)
{
    return (uint32_t)sh_load_acq(&ref->record->hold) &
           HOLD_COUNT; /* acquire: idle */
}

SH_HOT bool sh_handle_is_sole(const struct sh_ref *ref)
{
    if (is_alias(ref->handle))
        return (ref->word & SH_GONE) != 0 && held(ref) == 1;
    return (ref->word & SH_ALIASED) == 0 || held(ref) == 0;
}
