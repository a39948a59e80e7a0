/* SPDX-License-Identifier: MIT */
/*
 * titles_parse.c - a task that finds the heading of a page with libxml2.
 *
 * The text of the first h1 to h6 that has one, in the order of the document;
 * without any, that of <title>. libxml2's tree is malloc'ed and gone when the
 * task returns; only the text, in the task's own memory, leaves it.
 */
#define _GNU_SOURCE 1 /* gettid */
#include <string.h>
#include <unistd.h>

#include <libxml/HTMLparser.h>
#include <libxml/parser.h>

#include "titles.h"

void parse_init(void)
{
    xmlInitParser();
    purpose_init();
}

void parse_fini(void)
{
    xmlCleanupParser();
}

/* libxml2 has put the names of HTML into lower case. */
static bool is_heading(const xmlNode *node)
{
    const char *name = (const char *)node->name;

    return node->type == XML_ELEMENT_NODE && strlen(name) == 2 &&
           name[0] == 'h' && name[1] >= '1' && name[1] <= '6';
}

static bool is_title(const xmlNode *node)
{
    return node->type == XML_ELEMENT_NODE &&
           strcmp((const char *)node->name, "title") == 0;
}

/* The node after this one in the order of the document; NULL at its end. */
static xmlNode *next_node(xmlNode *node)
{
    if (node->type == XML_ELEMENT_NODE && node->children)
        return node->children;
    while (node && !node->next)
        node = node->parent;
    return node ? node->next : NULL;
}

/* The text of the first node that is wanted and has any; free with xmlFree. */
static xmlChar *first_text(const xmlDoc *doc, bool (*wanted)(const xmlNode *))
{
    xmlNode *node = xmlDocGetRootElement(doc);

    for (; node; node = next_node(node)) {
        xmlChar *text = wanted(node) ? xmlNodeGetContent(node) : NULL;

        if (text && text[strspn((const char *)text, " \t\r\n")] != '\0')
            return text;
        xmlFree(text);
    }
    return NULL;
}

static xmlChar *heading_of(const struct page *page)
{
    const char *charset = *page->charset ? page->charset : NULL;
    xmlDoc *doc = htmlReadMemory(page->bytes, (int)page->size, NULL, charset,
                                 HTML_PARSE_RECOVER | HTML_PARSE_NOERROR |
                                     HTML_PARSE_NOWARNING | HTML_PARSE_NONET);
    xmlChar *text = NULL;

    if (doc)
        text = first_text(doc, is_heading);
    if (doc && !text)
        text = first_text(doc, is_title);
    xmlFreeDoc(doc);
    return text;
}

int find_title(const struct page *in, struct title *out)
{
    int rc = crash_if_marked(in);
    xmlChar *text;
    size_t size;
    char *copy;

    if (rc != 0)
        return rc;
    text = in->size > 0 ? heading_of(in) : NULL;
    if (!text)
        return shunt_fail(PAGE_NO_TITLE, "it has neither heading nor title");
    size = strlen((const char *)text) + 1;
    copy = shunt_alloc(size);
    if (copy)
        memcpy(copy, text, size);
    xmlFree(text);
    if (!copy)
        return shunt_fail(PAGE_NO_MEMORY, "no memory for the title");

    out->text = copy;
    out->pid = getpid();
    out->tid = gettid();
    return 0;
}
/* libxml2 cannot be asked to stop: past its deadline, a process that is at it
 * need not be given long. */
SHUNT_TASK_DEFINE(find_title, .idempotent = true, .grace_ns = SHUNT_MS(100))
