/* SPDX-License-Identifier: MIT */
/* Writing to read-only memory ends as a stray access does. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

char *text = "a literal";
char writable[] = "a variable";

static void write_literal(void)
{
	*(volatile char *)text = 'A';
}

static void write_code(void)
{
	*(volatile char *)(uint)write_literal = 0;
}

int main(void)
{
	writable[0] = 'A';
	fact("variables can be written", writable[0] == 'A');
	dies("a literal cannot", write_literal);
	dies("nor code", write_code);
	fact("both are as they were", text[0] == 'a');
	exit();
}
