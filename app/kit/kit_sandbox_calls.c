/* Calls to the kernel that fail from now on, as a BPF program: a list of what is refused and not of what is allowed,
 * since the next libc makes others; systemd's unit has a list of the second kind. */
#include "kit_sandbox_calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000u
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define X32_BIT 0xffffffffu /* no number has it */
#endif

#ifdef ARCHITECTURE

static const unsigned refused[] = {
    /* Programs, and other processes. */
    SYS_execve,
    SYS_execveat,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    438 /* pidfd_getfd */,
#ifndef __SANITIZE_ADDRESS__ /* whose search for leaks needs it */
    SYS_ptrace,
#endif
    /* Another view of files. */
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_open_by_handle_at,
    428 /* open_tree */,
    429 /* move_mount */,
    430 /* fsopen */,
    431 /* fsconfig */,
    432 /* fsmount */,
    433 /* fspick */,
    442 /* mount_setattr */,
    /* Large parts of the kernel that are not used. */
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    425 /* io_uring_setup */,
    426 /* io_uring_enter */,
    427 /* io_uring_register */,
    SYS_personality,
    /* The machine. */
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_vhangup,
#ifdef __x86_64__
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
};
enum { REFUSED = sizeof refused / sizeof refused[0] };

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
/* Goes on with the statement behind the next one if it holds. */
#define UNLESS_EQUAL_SKIP(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1)
#define UNLESS_SET_SKIP(bits) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1)
#define FAILS(number) (SECCOMP_RET_ERRNO | (number))

int kit_sandbox_refuse_calls(void)
{
    static const struct sock_filter head[] = {
        /* Numbers of another architecture are others. */
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),
        RETURN(FAILS(EPERM)),
        /* New namespaces: clone3() has its flags in memory, where they cannot be seen; libc then calls clone(). */
        UNLESS_EQUAL_SKIP(435),
        RETURN(FAILS(ENOSYS)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
        LOAD(args[0]),
        UNLESS_SET_SKIP(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                        CLONE_NEWCGROUP),
        RETURN(FAILS(EPERM)),
        LOAD(nr),
    };
    enum { HEAD = sizeof head / sizeof head[0] };
    struct sock_filter program[HEAD + 2 * REFUSED + 1];
    size_t n = 0;
    for (size_t i = 0; i < HEAD; i++) program[n++] = head[i];
    for (size_t i = 0; i < REFUSED; i++) {
        program[n++] = (struct sock_filter)UNLESS_EQUAL_SKIP(refused[i]);
        program[n++] = (struct sock_filter)RETURN(FAILS(EPERM));
    }
    program[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {(unsigned short)n, program};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}

#else

int kit_sandbox_refuse_calls(void)
{
    errno = ENOSYS;
    return -1;
}

#endif
