/* SPDX-License-Identifier: MIT */
/*
 * Entries: where the program's calls come in
 *
 * Each goes on with its arguments as they are on the layer's stack. So no stack
 * of the program's becomes deeper by what the layer does, and the path from a
 * call to the library may use as much as it wants.
 *
 * The stack is one: a program has one thread, no signal handler of the layer's
 * calls an entry, and a fork's child has a copy.
 */
#include "layer.h"

char *layer_stack;

/* The target is in r11, all argument registers are the caller's. */
__asm__(".text\n"
	".type layer_switch, @function\n"
	"layer_switch:\n"
	"	.cfi_startproc\n"
	"	pushq %rbp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset %rbp, -16\n"
	"	movq %rsp, %rbp\n"
	"	.cfi_def_cfa_register %rbp\n"
	"	movq layer_stack(%rip), %rsp\n"
	"	callq *%r11\n"
	"	leaveq\n"
	"	.cfi_def_cfa %rsp, 8\n"
	"	retq\n"
	"	.cfi_endproc\n"
	".size layer_switch, . - layer_switch\n"

	".globl layer_run\n"
	".hidden layer_run\n"
	".type layer_run, @function\n"
	"layer_run:\n"
	"	movq %rdi, %r11\n"
	"	movq %rsi, %rdi\n"
	"	movq %rdx, %rsi\n"
	"	movq %rcx, %rdx\n"
	"	jmp layer_switch\n"
	".size layer_run, . - layer_run\n"

	".globl layer_go\n"
	".hidden layer_go\n"
	".type layer_go, @function\n"
	"layer_go:\n"
	"	movq %rdi, %rsp\n"
	"	xorl %ebp, %ebp\n"
	"	callq *%rsi\n"
	"	ud2\n"
	".size layer_go, . - layer_go\n");

#define ENTRY(name, inner) \
	__asm__(".text\n" \
		".globl xv6_" #name "\n" \
		".type xv6_" #name ", @function\n" \
		"xv6_" #name ":\n" \
		"	leaq " #inner "(%rip), %r11\n" \
		"	jmp layer_switch\n" \
		".size xv6_" #name ", . - xv6_" #name "\n")

ENTRY(fork, call_fork);
ENTRY(exit, call_exit0);
ENTRY(exit_status, call_exit);
ENTRY(wait, call_wait);
ENTRY(wait_status, call_wait_status);
ENTRY(kill, call_kill);
ENTRY(exec, call_exec);
ENTRY(getpid, call_getpid);
ENTRY(sleep, call_sleep);
ENTRY(pause, call_sleep);
ENTRY(uptime, call_uptime);

ENTRY(pipe, call_pipe);
ENTRY(read, call_read);
ENTRY(write, call_write);
ENTRY(close, call_close);
ENTRY(open, call_open);
ENTRY(mknod, call_mknod);
ENTRY(unlink, call_unlink);
ENTRY(link, call_link);
ENTRY(mkdir, call_mkdir);
ENTRY(chdir, call_chdir);
ENTRY(dup, call_dup);
ENTRY(fstat, call_fstat);
ENTRY(stat, call_stat);
ENTRY(fstat64, call_fstat64);
ENTRY(stat64, call_stat64);

ENTRY(sbrk, call_sbrk);
ENTRY(sbrklazy, call_sbrk);
ENTRY(malloc, call_malloc);
ENTRY(free, call_free);

ENTRY(strcpy, call_strcpy);
ENTRY(memmove, call_memmove);
ENTRY(memcpy, call_memmove);
ENTRY(strchr, call_strchr);
ENTRY(strcmp, call_strcmp);
ENTRY(strlen, call_strlen);
ENTRY(memset, call_memset);
ENTRY(atoi, call_atoi);
ENTRY(memcmp, call_memcmp);
ENTRY(gets, call_gets);

ENTRY(wmap, call_wmap);
ENTRY(wunmap, call_wunmap);
ENTRY(wremap, call_wremap);
ENTRY(getwmapinfo, call_getwmapinfo);
ENTRY(mmap, call_mmap);
ENTRY(munmap, call_munmap);
ENTRY(mmap64, call_mmap64);
ENTRY(munmap64, call_munmap64);
ENTRY(getmmapinfo, call_getmmapinfo);
ENTRY(va2pa, call_va2pa);
ENTRY(getpgdirinfo, call_getpgdirinfo);
