# What the command of every rule begins with (see workflow/endings.py): `attempt ENDED DIGEST LOG`.
# An earlier attempt at the same thing that nothing can help is not repeated, and why this one ends is noted.

count_oom_kills() {
    sed -n 's/^oom_kill //p' "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/memory.events" 2> /dev/null || true
}

attempt() {
    attempt_ended=$1 attempt_digest=$2 attempt_log=$3 attempt_kills=$(count_oom_kills)
    local kept=${attempt_ended%.json}.log # Snakemake deletes the log before each attempt
    mkdir -p "$(dirname "$kept")"
    [ -e "$attempt_log" ] || [ ! -e "$kept" ] || ln "$kept" "$attempt_log"
    printf '== attempt %s on %s, process %s%s\n' "$(date -u +%FT%TZ)" "$HOSTNAME" $$ "${SLURM_JOB_ID:+, SLURM job $SLURM_JOB_ID}" >> "$attempt_log"
    [ "$attempt_log" -ef "$kept" ] || ln -f "$attempt_log" "$kept" 2> /dev/null || true # no hard links there
    if [ -e "$attempt_ended" ]; then
        python -m workflow.endings check --ended "$attempt_ended" --attempt "$attempt_digest" 2>> "$attempt_log"
    fi
    trap : TERM USR1 # the program saves its state first; this shell waits for it
    trap 'end_attempt $?' EXIT
}

end_attempt() {
    [ "$1" = 0 ] || python -m workflow.endings note --ended "$attempt_ended" --attempt "$attempt_digest" --log "$attempt_log" \
        --exit-code "$1" --out-of-memory "$([ "$attempt_kills" = "$(count_oom_kills)" ] && echo 0 || echo 1)"
}
