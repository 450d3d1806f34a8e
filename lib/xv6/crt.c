/* SPDX-License-Identifier: MIT */
/*
 * Linked into each program: main, which hands over to the layer
 *
 * The program's own main has been renamed. xv6_term is no variable: its address
 * is the number that xv6cc gave to the linker; so it is with xv6_forks, 1 if the
 * program calls fork.
 */
extern const char xv6_term[], xv6_forks[];

void xv6_main(int argc, char **argv);
int xv6_start(int argc, char **argv, unsigned term, int forks,
	      void (*program_main)(int argc, char **argv));

__attribute__((visibility("hidden"))) int main(int argc, char **argv)
{
	return xv6_start(argc, argv, (unsigned)(unsigned long)xv6_term,
			 (int)(long)xv6_forks, xv6_main);
}
