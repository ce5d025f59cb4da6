/* The seccomp half of the sandbox. For kit_sandbox.c alone. */
#ifndef KIT_SANDBOX_CALLS_H
#define KIT_SANDBOX_CALLS_H

/* Calls that no part of the server makes fail with EPERM from now on. Returns 0, or -1 with errno: ENOSYS where the
 * processor is not known. */
int kit_sandbox_refuse_calls(void);

#endif
