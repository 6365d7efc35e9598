#!/bin/bash
# One task of an array job trains one run: slurm.sh PYTHON LOGS FOLDER...
#
# Slurm signals this shell alone. It passes requests to stop on; after one that warns of
# the time limit it has the run go on in another session.
python=$1 output=$2/${SLURM_JOB_NAME}_$SLURM_ARRAY_TASK_ID.out
shift 2
folders=("$@")
folder=${folders[SLURM_ARRAY_TASK_ID]}
# For the last task of an array SLURM_JOB_ID means all of them.
task=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
stopped=75 # see node.py
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK MKL_NUM_THREADS=$SLURM_CPUS_PER_TASK
export OPENBLAS_NUM_THREADS=$SLURM_CPUS_PER_TASK

run='' stopping='' again=''
stop() {
    stopping=yes
    [[ -z $run ]] || kill -TERM "$run"
}
trap 'again=yes; stop' USR1 # the time limit is near
trap 'again=; stop' USR2    # the command cancels
trap : TERM                 # goes to all processes, so the run has had it, too

"$python" -m pearl_bench.execution.node \
    "$folder" "$SLURM_JOB_NAME/$SLURM_ARRAY_TASK_ID" "$task" >>"$folder/log.txt" 2>&1 &
run=$!
[[ -z $stopping ]] || stop # it came before there was anything to stop
while kill -0 "$run" 2>/dev/null; do
    wait "$run" # a trap ends it, too
done
wait "$run"
code=$?
# To requeue a job that is being cancelled would revive it.
if [[ $again && $code == "$stopped" && $(squeue -h -j "$task" -o %T) == RUNNING ]]; then
    scontrol requeue "$task"
fi
if ((code > 128)); then # it could not say so itself
    printf '{"killed": "SIG%s"}\n' "$(kill -l "$code")" >>"$folder/progress.jsonl"
fi
[[ -s $output ]] || rm -f "$output"
[[ $code == "$stopped" ]] || exit "$code"
