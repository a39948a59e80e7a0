/* SPDX-License-Identifier: MIT */
/*
 * host.c - loads a plugin, runs it on a thread of its own, unloads it, and
 * only then lets that thread end. Prints why the plugin cannot be loaded.
 *
 * It is built twice: without a trace of shunt, and linked with it.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct visit {
    void *object;
    int result;
};

static void *visit(void *arg)
{
    struct visit *v = arg;
    void *symbol = dlsym(v->object, "plugin_run");
    int (*run)(void) = NULL;

    if (symbol == NULL)
        return NULL;
    /* ISO C has no conversion from an object pointer to a function. */
    memcpy(&run, &symbol, sizeof(run));
    v->result = run();
    /* This thread's destructors in libshunt run after the plugin has gone. */
    if (dlclose(v->object) != 0)
        v->result = -2;
    return NULL;
}

int main(int argc, char **argv)
{
    struct visit v = { NULL, -3 };
    pthread_t thread;

    if (argc != 2)
        return EXIT_FAILURE;
    v.object = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (v.object == NULL) {
        puts(dlerror());
        return EXIT_FAILURE;
    }
    if (pthread_create(&thread, NULL, visit, &v) != 0 ||
        pthread_join(thread, NULL) != 0)
        return EXIT_FAILURE;
    if (v.result != 0)
        printf("the plugin said %d\n", v.result);
    return v.result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
