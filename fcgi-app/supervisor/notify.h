/*
 * Tells the service manager how it goes: one datagram to $NOTIFY_SOCKET, as
 * sd_notify(3) describes.  Without the variable every call does nothing.
 */
#ifndef ZIGGIE_SUPERVISOR_NOTIFY_H
#define ZIGGIE_SUPERVISOR_NOTIFY_H

#include <stdint.h>

/* Lines such as "READY=1\nSTATUS=…"; a message that can't be sent is dropped. */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "RELOADING=1" with the time that the manager wants beside it. */
void notify_reloading(const char *status);
/* Nanoseconds between two WATCHDOG=1: half of what the manager tolerates; 0 for no watchdog. */
int64_t notify_watchdog_interval(void);

#endif
