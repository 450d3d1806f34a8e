/* SPDX-License-Identifier: MIT */
/* The instructions of xv6's x86.h that a program may execute */
#ifndef XV6_X86_H
#define XV6_X86_H

static inline uint xchg(volatile uint *addr, uint newval)
{
	return __atomic_exchange_n(addr, newval, __ATOMIC_SEQ_CST);
}

static inline unsigned long long rdtsc(void)
{
	return __builtin_ia32_rdtsc();
}

#endif
