// Checks the Arm kernels that this CPU (or the model that qemu plays) has against the scalar definition, bit for bit; run.sh builds it.
//
//   ./check_arm [cases] [seed] [part of a kernel's name]
#define _POSIX_C_SOURCE 200809L
#include "kernel_cases.h"

int main(int count, char **arguments) {
    const long cases = count > 1 ? atol(arguments[1]) : 400;
    const char *only = count > 3 ? arguments[3] : "";
    state = count > 2 ? strtoull(arguments[2], 0, 10) : 1;
    static const struct { alula_isa isa; const char *name; } sets[] = {
        {ALULA_ISA_NEON, "neon"}, {ALULA_ISA_NEONDOT, "neondot"}, {ALULA_ISA_I8MM, "i8mm"},
    };
    const alula_kernel_table *lower = alula_kernels_for(ALULA_ISA_SCALAR);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const alula_kernel_table *table = alula_kernels_for(sets[i].isa);
        if (!table) {
            printf("  %s: NOT RUN, this cpu lacks it\n", sets[i].name);
            continue;
        }
        if (strcmp(table->name, sets[i].name)) {
            printf("FAIL the table of %s is named %s\n", sets[i].name, table->name);
            failures++;
        }
        char names[5][40];
        const char *families[5] = {"conv_u8s8", "depthwise_u8s8", "conv_f32", "depthwise_f32", "table_u8"};
        for (int k = 0; k < 5; k++) snprintf(names[k], sizeof names[k], "%s %s", families[k], sets[i].name);
        const checked_kernel all[4] = {
            {names[0], check_u8s8, table->conv_u8s8, 0}, {names[1], check_u8s8, table->depthwise_u8s8, 1},
            {names[2], check_f32, table->conv_f32, 0},   {names[3], check_f32, table->depthwise_f32, 1},
        };
        // Kernels shared with the instruction set below are checked there.
        checked_kernel own[4];
        size_t kernels = 0;
        for (int k = 0; k < 4; k++) {
            const alula_kernel theirs[4] = {lower->conv_u8s8, lower->depthwise_u8s8, lower->conv_f32, lower->depthwise_f32};
            if (all[k].kernel != theirs[k]) own[kernels++] = all[k];
        }
        const int before = failures;
        if (table->table_u8 != lower->table_u8) check_table(names[4], table->table_u8);
        check_all(own, kernels, cases, only);
        printf("  %s: %zu convolution kernels of its own%s, %ld cases each, %d failures\n", sets[i].name, kernels,
               table->table_u8 != lower->table_u8 ? " and table_u8" : "", cases, failures - before);
        lower = table;
    }
    if (alula_kernels_best() != lower) {
        printf("FAIL the best kernels are not the last that ran\n");
        failures++;
    }
    check_fma(cases * 100);
    printf("%s: %d failures\n", failures ? "FAILED" : "passed", failures);
    return failures != 0;
}
