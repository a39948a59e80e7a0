/* SPDX-License-Identifier: MIT */
/*
 * titles_fetch.c - a task that gets one page over HTTP with libcurl.
 *
 * Every worker thread keeps one easy handle, and with it its connections, for
 * the next page. A thread-local is safe here because the task does not await
 * while it uses the handle: no other task can run on the thread in between.
 */
#define _GNU_SOURCE 1 /* strcasestr */
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "titles.h"

static pthread_key_t handle_key;

/* One fetch under way: what libcurl hands back to the functions below. */
struct download {
    CURL *easy;
    size_t size, room, bytes_max;
    char *bytes;
    enum page_failure refused; /* why take_bytes stopped the transfer */
};

int fetch_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -1;
    return pthread_key_create(&handle_key, curl_easy_cleanup);
}

void fetch_fini(void)
{
    pthread_key_delete(handle_key);
    curl_global_cleanup();
}

static CURL *handle_of_thread(void)
{
    CURL *easy = pthread_getspecific(handle_key);

    if (easy)
        return easy;
    easy = curl_easy_init();
    if (easy && pthread_setspecific(handle_key, easy) != 0) {
        curl_easy_cleanup(easy);
        return NULL;
    }
    return easy;
}

/* The Content-Type of the answer; "" if there is none. Lent by the handle. */
static const char *content_type(CURL *easy)
{
    const char *type = NULL;

    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    return type ? type : "";
}

static bool is_html(const char *type)
{
    size_t length = strcspn(type, "; \t");

    return (length == 9 && strncasecmp(type, "text/html", 9) == 0) ||
           (length == 21 &&
            strncasecmp(type, "application/xhtml+xml", 21) == 0);
}

/* Make room for more bytes; the memory belongs to the task's future. */
static bool grow(struct download *d, size_t more)
{
    size_t room = d->room ? d->room : 16384;
    char *bytes;

    while (room < d->size + more)
        room *= 2;
    if (room == d->room)
        return true;
    bytes = shunt_alloc(room);
    if (!bytes)
        return false;
    if (d->size > 0)
        memcpy(bytes, d->bytes, d->size);
    shunt_free(d->bytes);
    d->bytes = bytes;
    d->room = room;
    return true;
}

/* libcurl gives us some of the page. Taking less than all ends the transfer. */
static size_t take_bytes(char *data, size_t one, size_t count, void *user)
{
    struct download *d = user;
    size_t more = one * count;

    if (d->size == 0 && !is_html(content_type(d->easy)))
        d->refused = PAGE_NOT_HTML;
    else if (more > d->bytes_max - d->size)
        d->refused = PAGE_TOO_LARGE;
    else if (!grow(d, more))
        d->refused = PAGE_NO_MEMORY;
    if (d->refused != PAGE_OK)
        return 0;
    memcpy(d->bytes + d->size, data, more);
    d->size += more;
    return more;
}

/* libcurl asks about once a second whether to go on. */
static int stop_if_cancelled(void *user, curl_off_t down_total, curl_off_t down,
                             curl_off_t up_total, curl_off_t up)
{
    (void)user, (void)down_total, (void)down, (void)up_total, (void)up;
    return shunt_cancelled();
}

static void set_options(CURL *easy, const struct request *in,
                        struct download *d, char *reason)
{
    curl_easy_setopt(easy, CURLOPT_URL, in->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, ""); /* all it knows */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "shunt-titles/" SHUNT_VERSION);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, in->timeout_ms);
    /* Spares the transfer if the server announces the size; if it does not,
     * or packs the page, take_bytes counts. */
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
                     (curl_off_t)in->bytes_max);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); /* threads forbid SIGALRM */
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, d);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, stop_if_cancelled);
}

/* Why take_bytes stopped the transfer, in words. */
static int refuse(const struct download *d)
{
    const char *type = content_type(d->easy);

    switch (d->refused) {
    case PAGE_NOT_HTML:
        return shunt_fail(PAGE_NOT_HTML, "its type is %s, not HTML",
                          *type ? type : "not given");
    case PAGE_TOO_LARGE:
        return shunt_fail(PAGE_TOO_LARGE, "more than %zu bytes", d->bytes_max);
    default:
        return shunt_fail(PAGE_NO_MEMORY, "no memory for the page");
    }
}

/* Why libcurl could not get the page: a code to count by, a text to read. */
static int fail(struct download *d, CURLcode code, const char *reason)
{
    long status = 0;

    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
        return SHUNT_ECANCELED;
    case CURLE_WRITE_ERROR:
        return refuse(d);
    case CURLE_FILESIZE_EXCEEDED:
        d->refused = PAGE_TOO_LARGE;
        return refuse(d);
    case CURLE_HTTP_RETURNED_ERROR:
        curl_easy_getinfo(d->easy, CURLINFO_RESPONSE_CODE, &status);
        return shunt_fail(PAGE_HTTP_ERROR, "HTTP status %ld", status);
    case CURLE_OPERATION_TIMEDOUT:
        return shunt_fail(PAGE_TIMED_OUT, "%s", reason);
    default:
        return shunt_fail(PAGE_UNREACHABLE, "%s",
                          *reason ? reason : curl_easy_strerror(code));
    }
}

/* The word after "charset=", which may be quoted; "" if there is none. */
static void copy_charset(char *to, size_t size, const char *type)
{
    const char *found = strcasestr(type, "charset=");
    size_t length = 0;

    if (found) {
        found += strlen("charset=");
        found += *found == '"';
        length = strcspn(found, "\"; \t");
    }
    if (length >= size)
        length = 0;
    memcpy(to, found ? found : "", length);
    to[length] = '\0';
}

static int download(struct download *d, const struct request *in,
                    struct page *out)
{
    char reason[CURL_ERROR_SIZE] = "";
    CURLcode code;

    set_options(d->easy, in, d, reason);
    code = curl_easy_perform(d->easy);
    if (code != CURLE_OK)
        return fail(d, code, reason);
    if (!is_html(content_type(d->easy))) { /* empty: not seen by take_bytes */
        d->refused = PAGE_NOT_HTML;
        return refuse(d);
    }
    copy_charset(out->charset, sizeof out->charset, content_type(d->easy));
    out->bytes = d->bytes;
    out->size = d->size;
    return 0;
}

int fetch_page(const struct request *in, struct page *out)
{
    struct download d = { .easy = handle_of_thread(),
                          .bytes_max = in->bytes_max };
    int rc;

    if (!d.easy)
        return shunt_fail(PAGE_NO_MEMORY, "no memory for a connection");
    rc = download(&d, in, out);
    curl_easy_reset(d.easy); /* forget d, keep the connections */
    return rc;
}
SHUNT_TASK_DEFINE(fetch_page, .idempotent = true, .blocking = true)
