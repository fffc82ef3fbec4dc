# Runs every line of seeds.txt again: the seed and what was wrong.
file(STRINGS "${SEEDS}" lines REGEX "^[0-9]+")
foreach(line ${lines})
  string(REGEX MATCH "^[0-9]+" seed "${line}")
  execute_process(COMMAND "${SIM}" --seed ${seed} --steps 1500 --quiet RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "seed ${seed} fails again: ${line}")
  endif()
endforeach()
