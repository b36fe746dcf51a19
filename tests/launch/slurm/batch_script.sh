#!/bin/bash

# Parameters
#SBATCH --cpus-per-task=3
#SBATCH --dependency=afterok:11:12
#SBATCH --error='{folder}/slurm/%j_0_log.err'
#SBATCH --gpus-per-node=1
#SBATCH --job-name={name}
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mem=1536MB
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output='{folder}/slurm/%j_0_log.out'
#SBATCH --partition=long
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --time=90

# setup
module load cuda
export PYTHONSAFEPATH=1 PYTHONPATH='/copy of/it'
export OMP_NUM_THREADS=3
trap : TERM
mvcgc_end() { exec {python} -u -m mvcgc.launch.slurm.job_hooks end '{folder}' "$?" --max-retries=3 --max-timeouts=4; }
trap mvcgc_end EXIT
MVCGC_ATTEMPT=$({python} -u -m mvcgc.launch.slurm.job_hooks begin '{folder}') || exit
export MVCGC_ATTEMPT
exec >>'{folder}'/slurm/"$MVCGC_ATTEMPT".log 2>&1

# command
srun --unbuffered --output '{folder}/slurm/%j_%t_log.out' --error '{folder}/slurm/%j_%t_log.err' --kill-on-bad-exit=1 --wait=60 --cpus-per-task=3 --cpu-bind=none {python} -u -m mvcgc.launch.slurm.rank '{folder}'
