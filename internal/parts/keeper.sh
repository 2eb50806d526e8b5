# Runs the server given as arguments and sees to it that neither the server nor its files
# outlive the program that started it. That program holds the writing end of standard
# input: end of file means that it has closed it or is dead, however it died. The one
# word that it may write is "keep": the files are for another start.
#
# STATE   directory for what the program wants to know: pid, exit
# SIGNAL  what ends the server once the program is gone
# SCRATCH directory to remove after that; may be empty
# PARENT  directory to remove too once nothing else is in it; may be empty
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
echo "$server" >"$STATE/pid.new" && mv "$STATE/pid.new" "$STATE/pid"
(
	read -r word <&3
	[ "$word" = keep ] && : >"$STATE/keep"
	# The process id of a server that has ended may be another process's by now.
	if [ ! -e "$STATE/exit" ]; then
		kill -s "$SIGNAL" "$server" 2>/dev/null
		# A server that was stopped for a test acts on nothing before it goes on.
		kill -s CONT "$server" 2>/dev/null
	fi
) &
watcher=$!
wait "$server"
code=$?
echo "$code" >"$STATE/exit.new" && mv "$STATE/exit.new" "$STATE/exit"
wait "$watcher"
if [ ! -e "$STATE/keep" ] && [ -n "$SCRATCH" ]; then
	rm -rf "$SCRATCH"
	[ -z "$PARENT" ] || rmdir "$PARENT" 2>/dev/null
fi
exit "$code"
