#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# That the examples can fail: each rule is broken, one at a time, in a copy of the
# layer, and the example of its sentence must not print what it should any more.
#
#   broken WHAT EXAMPLE (FILE SED)…   an edit that changes nothing is a failure
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

export CC=$WMAP_CC
objects=$WMAP_BUILD/obj/lib/CMakeFiles/wmap_objects.dir
layer=$WMAP_BUILD/obj/lib/xv6/CMakeFiles/wmap_xv6.dir
flags="-D_GNU_SOURCE= -fPIC -O1 -std=gnu11 -w -fvisibility=hidden
	-I$WMAP_SOURCE/include -I$work/lib -I$work/lib/xv6"
# As installed: it looks for the wmap command from where it is.
mkdir -p "$work/examples" "$work/broken/lib"
ln -s "$WMAP_BIN" "$work/broken/bin"

# The objects of the layer, some of them exchanged by those in $work/objects.
link_layer() {
	local all=() object name

	while read -r object; do
		name=${object##*.dir/}
		[ "$object" = "$layer/$name" ] && name=xv6/$name
		if [ -e "$work/objects/$name" ]; then
			object=$work/objects/$name
		fi
		all+=("$object")
	done < <(find "$layer" "$objects" -name '*.o')
	$CC -shared -o "$work/broken/lib/libwmap-xv6.so" "${all[@]}" -luring \
		-Wl,-soname,libwmap-xv6.so \
		-Wl,--version-script="$WMAP_SOURCE/lib/xv6/xv6.map"
}

# example TERM/NAME : does it print what it should, with the layer in $1?
example() {
	local program=$work/examples/${2//\//-}

	if [ ! -e "$program" ]; then
		"$WMAP_BIN/xv6cc" --term "${2%/*}" \
			"$WMAP_SOURCE/tests/xv6/$2.c" -o "$program" || return 2
	fi
	LD_LIBRARY_PATH=$1 "$WMAP_BIN/xv6run" --timeout 5 "$program" \
		</dev/null >"$work/out" 2>"$work/err"
	sed "s/${2//\//-}/${2##*/}/g" "$work/out" |
		cmp -s - "$WMAP_SOURCE/tests/xv6/$2.out"
}

broken() {
	local what=$1 name=$2 file

	shift 2
	if [ "${ONLY-$name}" != "$name" ]; then
		return
	fi
	if ! example "$WMAP_LIB" "$name"; then
		failed "$name: fails unbroken"
		return
	fi
	rm -rf "${work:?}/lib" "$work/objects"
	cp -r "$WMAP_SOURCE/lib" "$work/lib"
	while [ $# -gt 0 ]; do
		file=$1
		sed -i -E "$2" "$work/lib/$file"
		if cmp -s "$work/lib/$file" "$WMAP_SOURCE/lib/$file"; then
			failed "$what: nothing is broken in $file"
			return
		fi
		mkdir -p "$work/objects/$(dirname "$file")"
		# shellcheck disable=SC2086
		$CC $flags -c "$work/lib/$file" -o "$work/objects/$file.o" ||
			failed "$what: does not compile"
		shift 2
	done
	link_layer || failed "$what: does not link"
	if example "$work/broken/lib" "$name"; then
		failed "$what: $name does not see it"
	else
		echo "ok: $what: $name"
	fi
}

maps=xv6/maps.c
calls=xv6/calls.c
rules=xv6/rules.c
frames=xv6/frames.c
start=xv6/start.c

# rule TERM SED : within a term's rules
rule() {
	echo "/\"$1\"/,/^	\\},/{$2}"
}

# ---- Mapping ------------------------------------------------------------------------

broken "lengths are multiples of a page" f24/length_limits $maps \
	's/!wanted->length \|\|/& wanted->length % 4096 ||/'
broken "the end is no end" f24/length_limits $rules \
	"$(rule f24 's/WINDOW_HIGH/WINDOW_HIGH - PAGE_BYTES/')"
broken "sums have 32 bits" f24/length_limits $maps \
	's/length <= rules->high - address/(int)(address + length) <= (int64_t)rules->high/' \
	$start 's/map_at\(WINDOW_HIGH, WINDOW_HIGH \+ PAGE_BYTES, PROT_NONE\)/true/'
broken "no window" f24/length_limits $maps \
	's/length <= rules->high - address/true/' \
	$start 's/map_at\(WINDOW_HIGH, WINDOW_HIGH \+ PAGE_BYTES, PROT_NONE\)/true/'
broken "MAP_FIXED need not be set" f24/flags $rules \
	"$(rule f24 's/MAP_SHARED \| MAP_FIXED,/MAP_SHARED,/')"
broken "MAP_PRIVATE is right" f24/flags $rules \
	"$(rule f24 's/MAP_SHARED \| MAP_FIXED,/MAP_FIXED,/;s/.forbidden = .*//')"
broken "below the window" f24/fixed_place $rules \
	"$(rule f24 's/WINDOW_LOW/STACK_HIGH/')"
broken "any address is rounded" f24/fixed_place \
	$maps 's/!\(address % PAGE\) &&//;s/\.address = address,/.address = page_down(address),/'
broken "a mapping replaces another" f24/overlap $maps \
	's/WMAP_FIXED \|$/WMAP_FIXED | WMAP_REPLACE |/'
broken "a mapping needs a page between" f24/adjacent $maps \
	's/\.length = wanted->length,/.length = wanted->length + PAGE,/'
broken "17 mappings" f24/sixteen $rules "$(rule f24 's/16/17/')"
broken "15 mappings" f24/sixteen $rules "$(rule f24 's/16/15/')"
broken "the descriptor is used" f24/anonymous $maps \
	's/if \(!\(wanted->flags & WMAP_ANONYMOUS\)\)$/if (wanted->fd >= 0)/'
broken "no file is zeros" f24/bad_file $maps \
	's/ && map.fd < 0\)/ \&\& 0)/'
broken "any descriptor of the process" f24/files xv6/files.c \
	's/fd < 0 \|\| fd >= NOFILE \|\| //;s/FD_BASE \+ fd, F_GETFD\) < 0\)$/fd, F_GETFD) < 0)/;s/return FD_BASE \+ fd;/return fd;/'
broken "close takes the file away" f24/close_after store/file.c \
	's/own = open_again\(fd, flags & O_ACCMODE\);/own = fd;/'
broken "the offset moves" f24/offset $maps \
	's/at = api_map\(&map\);/at = api_map(\&map); lseek(map.fd, 0, 0);/'
broken "another part of the file" f24/file_bytes $maps \
	's/\.offset = wanted->offset,/.offset = wanted->offset + PAGE,/'
broken "no zeros past the end" f24/file_bytes $maps \
	's/ \|$/ |/;s/MAPPING_COURSE/0/'

# ---- Loading ------------------------------------------------------------------------

broken "a touch loads two" f24/lazy $maps 's/\.grain = 1,/.grain = 2,/'
broken "a touch loads many" f24/seventy_thousand $maps \
	's/\.grain = 1,/.grain = 512,/'
broken "mapping loads" f24/lazy $maps \
	's/at = api_map\(&map\);/& if (at != WMAP_FAILED) *(volatile char *)at;/'
broken "touches count twice" f24/lazy $calls \
	's/\(int\)native.n_loaded_pages\[i\]/2 * &/'
broken "the word is another" f24/dies_alone xv6/trap.c \
	's/Segmentation Fault/Segmentation fault/'
broken "the parent notices" f24/stray xv6/trap.c \
	'/^static void stray/,/^}/s/leave\(255\)/kill(getppid(), 9); &/'
broken "code can be written" f24/literal $start \
	's/^	return madvise/	mprotect((void *)start, end - start, 7);\n&/'
broken "the kernel's touch is none" f24/kernel_touch $start \
	's/show_start\(\);/& setenv("WMAP_KERNEL_WITHOUT", "device,kernel_faults", 1);/' \
	xv6/files.c 's/client_features\(\) & WMAP_FEATURE_KERNEL_FAULTS\)/1)/'

# ---- Unmapping ------------------------------------------------------------------------

broken "any address unmaps its page" f24/unmap_exact $maps \
	's/wunmap\(\(void \*\)address\)/wmap_unmap((void *)page_down(address), PAGE)/'
broken "nothing is written back" f24/write_back $maps \
	's/\(int\)\(wanted->flags/(int)((wanted->flags ^ 3)/'
broken "the last page is written in full" f24/write_back $maps \
	's/\.length = wanted->length,/.length = page_up(wanted->length),/'
# A pager may have written it before, or do so after a kill: what is stored is lost.
broken "exit forgets" f24/write_back_at_exit xv6/process.c \
	'/^void leave/,/^}/s/wmap_sync_all\(\);/madvise((void *)0x60000000, 8192, 9); kill(getpid(), 9);/'

# ---- Information ------------------------------------------------------------------------

broken "lengths in pages" f24/info $calls \
	's/\(int\)native.length\[i\]/(int)page_up(native.length[i])/'
broken "a hole" f24/info $calls 's/told\.addr\[i\] = \(int/told.addr[(i + 1) % 16] = (int/'
broken "a bad pointer is used" f24/info $calls \
	'0,/if \(!copy_out/s/if \(!copy_out\(info, &told, sizeof\(told\)\)\)/memcpy(info, \&told, sizeof(told)); if (0)/'
broken "no page offset" f24/va2pa $frames \
	's/number \+ \(uint\)\(real % PAGE\)/number/'
broken "asking loads" f24/va2pa $frames \
	's/uint64_t real = /*(volatile char *)address; &/'
broken "0 is nothing" f24/va2pa $frames \
	's/va < PAGE_BYTES \? program.code \+ va : va/va/'
broken "other memory than xv6's" f24/va2pa xv6/family.c \
	's/return PHYSICAL_HIGH - /return 2 * PHYSICAL_HIGH - /'
broken "all frames are one" f24/va2pa xv6/family.c \
	's/return PHYSICAL_HIGH - .*/return PHYSICAL_LOW;/'
broken "ordinary memory comes late" f24/va2pa xv6/heap.c \
	's/MAP_FIXED_NOREPLACE \|$/MAP_FIXED_NOREPLACE;/;s/^		    MAP_POPULATE;//'
broken "the code is not first" s24/pgdirinfo $frames \
	's/address == program.code \? 0 : //'
broken "only 32 are counted" s24/pgdirinfo $frames \
	's/told->n_upages\+\+;/told->n_upages < 31 ? told->n_upages++ : 31;/'
broken "no heap" s24/pgdirinfo $frames \
	's/^	tell_all\(&told, HEAP_LOW.*//'
broken "no stack" s24/pgdirinfo $frames 's/^	tell_stack\(&told\);//'
broken "the highest first" s24/pgdirinfo $frames \
	's/^	tell_all\(&told, program.code.*/	if (0)/;s/^	return copy_out\(info/	tell_all(\&told, program.code, program.image_end);\n&/'

# ---- Choosing and resizing ---------------------------------------------------------------

broken "neither is shared" s24/kinds $rules "$(rule s24 's/.one_kind = true,//')" \
	$maps 's/\(int\)\(wanted->flags & rules->legal\) \|/& (wanted->flags \& 3 ? 0 : 2) |/'
broken "the address is needed" s24/chosen $rules \
	"$(rule s24 's/PLACE_IGNORED/PLACE_REQUIRED/')"
broken "chosen outside the window" s24/chosen $maps \
	's/uint64_t at = WINDOW_LOW/uint64_t at = WINDOW_LOW - 0x10000000/'
broken "17 mappings in s24" s24/sixteen $rules "$(rule s24 's/16/17/')"
broken "private changes are shared" s24/private_file $maps \
	's/\(int\)\(wanted->flags/(int)((wanted->flags ^ 3)/'
broken "private memory is one after fork" s24/private_fork $maps \
	's/\(int\)\(wanted->flags/(int)((wanted->flags ^ 3)/'
broken "any size will do" s24/remap_exact $maps \
	's/info.length == length/info.length >= length/;s/at = wremap\(\(void \*\)address, old_length, new_length, 0\)/at = wmap_remap((void *)address, old_length, new_length, 0, NULL)/'
broken "any flag will do" s24/remap_exact $maps \
	's/flags & ~\(unsigned\)WMAP_MAYMOVE \|\|//'
broken "shrinking moves" s24/remap_shrink $maps \
	's/if \(grow_in_window\(/if (!(flags \& 1) \&\& grow_in_window(/'
broken "growing moves" s24/remap_grow $maps \
	's/if \(grow_in_window\(/if (!(flags \& 1) \&\& grow_in_window(/'
broken "growing leaves the window" s24/remap_grow \
	$maps 's/return inside\(address, page_up\(new_length\)\);/return true;/' \
	$start 's/map_at\(WINDOW_HIGH, WINDOW_HIGH \+ PAGE_BYTES, PROT_NONE\)/true/'
broken "it never moves" s24/remap_move $maps \
	's/at == WMAP_FAILED && flags & WMAP_MAYMOVE/0/'
broken "it always moves" s24/remap_move $maps \
	's/at == WMAP_FAILED && flags & WMAP_MAYMOVE/at == WMAP_FAILED/'
broken "it moves out of the window" s24/remap_move $maps \
	's/WMAP_MAYMOVE \| WMAP_FIXED, \(void \*\)to\)/WMAP_MAYMOVE, 0)/'
broken "it takes one more place" s24/remap_move $maps \
	's/if \(flags & ~\(unsigned/if (!room_for_one() || flags \& ~(unsigned/'
broken "what does not fit moves" s24/remap_none $maps \
	's/^	if \(!to\)$/	if (0)/;s/\(void \*\)to\)/(void *)(to ? to : 0x90000000))/'

broken "failure is 0" f23/mapping $rules "$(rule f23 's/UINT64_MAX/0/')"
broken "16 mappings in f23" f23/mapping $rules \
	"$(rule f23 's/.one_kind/.limit = 16, &/')"
broken "only the whole" f23/unmap_part $maps \
	's/result = wmap_unmap\(\(void \*\)start, end - start\)/result = wunmap((void *)start)/'
broken "only whole pages" f23/unmap_part $maps \
	's/end = page_up\(address \+ length\)/end = page_down(address + length)/'
broken "a part is not written" f23/unmap_file $maps \
	's/\(int\)\(wanted->flags/(int)((wanted->flags ^ 3)/'
broken "from its beginning" f23/offset $calls 's/\.offset = offset,//'
broken "nothing grows" f23/growsup $rules \
	"$(rule f23 's/MAP_GROWSUP,/0,/')"
broken "there is no end to growing" f23/growsup_guard mapping.c \
	's/place\(mapping, end \+ PAGE, MAP_FIXED_NOREPLACE\)/(place(mapping, end + PAGE, MAP_FIXED_NOREPLACE), 0)/'
broken "above the window is free" f23/growsup_end \
	$start 's/map_at\(WINDOW_HIGH, WINDOW_HIGH \+ PAGE_BYTES, PROT_NONE\)/true/'
broken "all mappings grow" f23/growsup_plain $maps \
	's/\(int\)\(wanted->flags & rules->legal\) \|/& WMAP_GROWSUP |/'
broken "above the window is free" f23/growsup \
	$start 's/map_at\(WINDOW_HIGH, WINDOW_HIGH \+ PAGE_BYTES, PROT_NONE\)/true/'
broken "nothing grows in a family" f23/growsup_family growth.c \
	's/!place\(&message, \*uffd\)/true/'
broken "the grown part is lost" f23/growsup_file mapping.c \
	's/!space_move\(mapping, mapping->start, end - mapping->start \+ PAGE\)/1/'
broken "private changes reach the file" f23/exit_file $maps \
	's/\(int\)\(wanted->flags &/(int)((wanted->flags \& 1 ? wanted->flags ^ 3 : wanted->flags) \&/'

# ---- S26 ----------------------------------------------------------------------------------

broken "failure is -1" s26/mapping $rules "$(rule s26 's/.failure = 0/.failure = UINT64_MAX/')"
broken "unknown flags are ignored" s26/mapping $rules \
	"$(rule s26 's/.strict = true,//')"
broken "hints are ignored" s26/mapping $rules \
	"$(rule s26 's/PLACE_HINT/PLACE_IGNORED/')"
broken "a hint replaces" s26/mapping $maps \
	's/WMAP_FIXED \|$/WMAP_FIXED | WMAP_REPLACE |/'
broken "addresses have no end" s26/mapping $rules \
	"$(rule s26 's/<< 38/<< 46/')"
broken "TRAPFRAME can be had" s26/heap $rules \
	"$(rule s26 's/ - 2 \* PAGE_BYTES//')"
broken "places are chosen low" s26/heap $maps \
	's/rules->place == PLACE_HINT \?/0 ?/'
broken "the heap replaces" s26/heap xv6/heap.c \
	's/MAP_FIXED_NOREPLACE/MAP_FIXED/'
broken "what is unmapped is kept" s26/freed $maps \
	's/int result = wunmap\(\(void \*\)address\)/int result = 0/'
broken "memory has no end" s26/memory $rules \
	"$(rule s26 's/.bounded = true,//')"
broken "and the heap none" s26/memory $rules \
	"$(rule s26 's/128 << 20/200 << 20/')"
broken "exec passes nothing on" s26/exec xv6/process.c \
	's/execv\(file, arguments\)/execv(file, (char *[]){ arguments[0], NULL })/'
broken "65 mappings" s26/sixty_four $rules "$(rule s26 's/64,/65,/')"
broken "lengths as asked" s26/info $rules \
	"$(rule s26 's/.whole_pages = true,//')"
broken "any address unmaps in s26" s26/unmap $maps \
	's/wunmap\(\(void \*\)address\)/wmap_unmap((void *)page_down(address), PAGE)/'
broken "each counts for itself" s26/fork $rules \
	"$(rule s26 's/.common_counts = true,//')"

# ---- fork and exec --------------------------------------------------------------------------

child='0,/if \(!pid\) \{/s//&\n\t\tstruct wmap_mapping_info i[16] = {{ .size = sizeof(i[0]) }};\n'
drop="${child}\t\tfor (int n = wmap_mapping_list(i, 16); n-- > 0;)\n\t\t\twunmap(i[n].addr);/"
for name in f24/fork_untouched f24/fork_family f24/fork_file s24/shared_fork \
	f24/va2pa_child s24/pgdirinfo_fork; do
	broken "a child has no mappings" $name xv6/process.c "$drop"
done
broken "a child's unmapping frees" f24/fork_unmap $maps \
	's/int result = wunmap/madvise((void *)address, PAGE, MADV_REMOVE); &/'
copy='s/if \(!pid\) \{/&\n\t\tfor (uint64_t a = HEAP_LOW; a < program.brk; a += 4096)\n\t\t\t*(volatile char *)a += 0;/'
broken "fork copies" f24/cow xv6/process.c "$copy"
broken "what nobody wrote is one page" f24/va2pa $start \
	's/writable \? MADV_POPULATE_WRITE : MADV_POPULATE_READ/MADV_POPULATE_READ/'
broken "no room for 160 MB twice" f24/big_fork xv6/process.c \
	's/= family_enter\(\);/= program.image_end - program.image > (100 << 20) ? -1 : family_enter();/'
broken "exec forgets" f24/exec xv6/process.c \
	'/^int call_exec/,/^}/s/^	wmap_sync_all\(\);//'

# ---- xv6's own calls ------------------------------------------------------------------------

broken "no page is given back" f24/sbrk xv6/heap.c \
	's/!munmap\(\(void \*\)from, bytes\)/true/'
broken "free forgets" f24/malloc xv6/heap.c 's/^	if \(memory\)$/	if (0)/'
broken "small letters" f24/print xv6/print.c 's/ABCDEF/abcdef/'
broken "errors go elsewhere" f24/print xv6/files.c \
	's/fd \? STDOUT_FILENO : STDIN_FILENO/fd/'
broken "open truncates" f24/files xv6/files.c \
	's/flags \|= O_CREAT;/flags |= O_CREAT | O_TRUNC;/'
broken "directories cannot be read" f24/directory xv6/files.c \
	's/is\(real, S_IFDIR\)/false/'
broken "what is for writing is for both" f24/directory xv6/files.c \
	's/how & O_WRONLY \? O_WRONLY : how & O_RDWR/how \& O_RDWR ? O_RDWR : how \& O_WRONLY/'
broken "SIGPIPE" f24/pipes xv6/trap.c 's/signal\(SIGPIPE, SIG_IGN\);.*//'
broken "32 processes" f24/processes xv6/family.c 's/(define PROCESSES) 64/\1 32/'
broken "kill kills nobody" f24/processes xv6/process.c \
	's/kill\(pid, SIGTERM\)/0/'
broken "1000 ticks a second" f24/ticks xv6/process.c \
	's/ticks \/ 100/ticks \/ 1000/;s/ticks % 100\)/ticks % 1000) \/ 10/'
broken "the heap is high" f24/integers xv6/heap.c \
	's/program\.brk/program.brk/;s/return \(char \*\)old;/return (char *)(old + 0x80000000u);/'
broken "main has to exit" f24/falls_off $start 's/^	layer_run\(end, 0, 0, 0\);//'
broken "compare is signed" f24/strings xv6/ulib.c \
	'/^int call_strcmp/,/^}/s/\(unsigned char\)/(signed char)/g'
broken "printf has a descriptor" s26/console xv6/print.c \
	's/1 \| 1 << 16, \(long\)format/1 | 0 << 16, (long)format/'
broken "README reads another" f24/readme $maps \
	's/\.offset = wanted->offset,/.offset = wanted->offset + PAGE,/'

finish
