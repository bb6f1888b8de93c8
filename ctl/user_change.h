/*
 * Changes of accounts by the operator, as store/accounts.h makes them.
 */
#ifndef ZIGGIE_CTL_USER_CHANGE_H
#define ZIGGIE_CTL_USER_CHANGE_H

#include "ctl.h"
#include "store/accounts.h"

/* How the audit calls the place where ziggiectl's changes come from. */
extern const struct audit_entry ctl_origin;

/* In a transaction; prints what went wrong and returns the exit code. */
int ctl_change_user(const struct ctl *ctl, const char *name, const struct account_change *change);
int ctl_remove_user(const struct ctl *ctl, const char *name);

#endif
