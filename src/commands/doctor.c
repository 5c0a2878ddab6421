#include "ceilings.h"
#include "comm/comm.h"
#include "commands/commands.h"
#include "core/build_info.h"
#include "describe.h"
#include "io/hdf5.h"
#include "machine.h"
#include "options.h"
#include "report.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum { PATH_BYTES = 4096 };
static const size_t disk_bytes = (size_t)64 << 20;
static const double enough_disk_gb = 1.0;

/* What is found goes into sections of `report`; what is lacking, with how to get it, into lists at its end. */
struct doctor {
	const struct aur_command_context *context;
	json_t *report;
	json_t *advice; /* "will be used" and "missing": appended last */
	struct aur_machine machine;
	int threads; /* that a rank alone on this machine would use */
};

#define MISSING(doctor, ...) aur_report_add_line((doctor)->advice, "missing", __VA_ARGS__)
#define USED(doctor, ...) aur_report_add_line((doctor)->advice, "will_be_used", __VA_ARGS__)

static void add_found(json_t *section, const char *key, int found, const char *path)
{
	if (found)
		aur_describe_text(section, key, path);
	else
		json_object_set_new(section, key, json_null());
}

static void examine_processor(struct doctor *doctor)
{
	const struct aur_machine *machine = &doctor->machine;
	json_t *section = aur_report_section(doctor->report, "processor");
	aur_describe_text(section, "name", machine->processor);
	aur_describe_integer(section, "cores", machine->cores);
	aur_describe_text(section, "affinity", machine->affinity);
	if (machine->quota > 0)
		aur_report_rounded(section, "container_cores", machine->quota, 3);
	aur_describe_integer(section, "threads", doctor->threads);
	aur_describe_text(section, "instructions", machine->instructions);
	aur_report_rounded(section, "memory_gb", (double)machine->memory_bytes * 1e-9, 4);
	aur_report_rounded(section, "free_memory_gb", (double)machine->free_bytes * 1e-9, 4);
	if (machine->quota > 0 && machine->quota < doctor->threads)
		MISSING(doctor,
			"cores: %d threads would share the %.1f cores this container grants: set system.threads, or grant more",
			doctor->threads, machine->quota);
}

static aur_status add_product(json_t *section, const char *key, struct aur_backend *backend, enum aur_dtype dtype)
{
	double rate;
	AUR_TRY(aur_ceiling_product(backend, dtype, &rate));
	aur_report_rounded(section, key, rate * 1e-9, 4);
	return AUR_OK;
}

/* Threads do not matter to a device. */
static aur_status measure_device(struct aur_backend *backend, json_t *section)
{
	AUR_TRY(add_product(section, "fp32_product_gflops", backend, AUR_F32));
	if (backend->fast_tf32) {
		backend->tf32 = 1;
		const aur_status status = add_product(section, "tf32_product_gflops", backend, AUR_F32);
		backend->tf32 = 0;
		AUR_TRY(status);
	}
	return backend->fast_bf16 ? add_product(section, "bf16_product_gflops", backend, AUR_BF16) : AUR_OK;
}

static aur_status add_products(
	struct doctor *doctor, struct aur_backend *backend, json_t *section, enum aur_dtype dtype, const char *keys[2])
{
	double one, all;
	AUR_TRY(aur_ceiling_products(backend, dtype, doctor->threads, &one, &all));
	aur_report_rounded(section, keys[0], one * 1e-9, 4);
	aur_report_rounded(section, keys[1], all * 1e-9, 4);
	return AUR_OK;
}

static aur_status measure_processor(struct doctor *doctor, struct aur_backend *backend, json_t *section)
{
	static const char *fp32[] = {"fp32_product_one_thread_gflops", "fp32_product_all_threads_gflops"};
	static const char *bf16[] = {"bf16_product_one_thread_gflops", "bf16_product_all_threads_gflops"};
	AUR_TRY(add_products(doctor, backend, section, AUR_F32, fp32));
	return backend->fast_bf16 ? add_products(doctor, backend, section, AUR_BF16, bf16) : AUR_OK;
}

static void say_backend(struct doctor *doctor, const struct aur_backend *backend)
{
	const int ranks = doctor->context->world ? doctor->context->world->ranks_on_node : 1;
	const int share = doctor->threads / ranks > 0 ? doctor->threads / ranks : 1;
	if (!backend->host_memory) {
		USED(doctor, "%s: %s, fp32, tf32 or bf16 (system.precision), a rank a GPU", backend->name, backend->variant);
		return;
	}
	USED(doctor, "%s: %s, %s, %d rank%s of %d thread%s on this machine", backend->name, backend->variant,
		backend->fast_bf16 ? "fp32 or bf16 (system.precision)" : "fp32", ranks, ranks > 1 ? "s" : "", share,
		share > 1 ? "s" : "");
}

static aur_status examine_products(struct doctor *doctor, struct aur_backend *backend)
{
	json_t *section = aur_report_section(doctor->report, "computing");
	double copy = 0;
	aur_describe_text(section, "backend", backend->name);
	aur_describe_text(section, "variant", backend->variant);
	AUR_TRY(backend->host_memory ? measure_processor(doctor, backend, section) : measure_device(backend, section));
	AUR_TRY(aur_ceiling_copy(backend, &copy));
	aur_report_rounded(section, "memory_copy_gb_per_s", copy * 1e-9, 4);
	say_backend(doctor, backend);
	return AUR_OK;
}

static aur_status examine_backend(struct doctor *doctor)
{
	struct aur_backend *backend = NULL;
	AUR_TRY(aur_backend_open("auto", &backend));
	const aur_status status = examine_products(doctor, backend);
	aur_backend_close(&backend);
	return status;
}

static void add_device(json_t *section, const struct aur_survey_device *device)
{
	if (device->unusable[0])
		aur_report_add_line(
			section, "devices", "%s %s: %s", device->name[0] ? device->name : "GPU", device->id, device->unusable);
	else
		aur_report_add_line(section, "devices", "%s %s: compute capability %d.%d, %.1f GB of memory, %.1f GB free",
			device->name, device->id, device->capability / 10, device->capability % 10,
			(double)device->memory_bytes * 1e-9, (double)device->free_bytes * 1e-9);
}

static void add_libraries(struct doctor *doctor, json_t *section, const struct aur_survey *survey)
{
	for (int i = 0; i < survey->n_libraries; i++) {
		const struct aur_survey_library *library = &survey->libraries[i];
		add_found(section, library->name, library->version[0] != '\0', library->version);
		/* Without a GPU they are of no use. */
		if (library->missing[0] && survey->n_devices > 0)
			MISSING(doctor, "%s: %s", library->name, library->missing);
	}
}

/* Between GPUs. */
static void add_nccl(struct doctor *doctor, json_t *section, int devices)
{
	char version[32];
	const int compiled_in = aur_comm_library(version, sizeof version);
	add_found(section, "NCCL", version[0] != '\0', version);
	if (!version[0] && devices > 1)
		MISSING(doctor,
			"NCCL: %s; gradients of several GPUs go through the host's memory (NVIDIA's package libnccl2 has it)",
			compiled_in ? "it is not installed" : "this program was built without it");
}

/* NCCL works without it. */
static void add_access(struct doctor *doctor, json_t *section, const struct aur_survey *survey)
{
	if (survey->n_devices < 2)
		return;
	aur_describe_text(section, "direct_access", survey->apart[0] ? "not between all" : "between all");
	if (survey->apart[0])
		MISSING(doctor,
			"direct access between the GPUs %s: what they exchange goes through the host's memory, which is slower "
			"(the machine's wiring decides, and in a virtual machine its host; nvidia-smi topo -m shows it)",
			survey->apart);
}

static void survey_gpus(struct doctor *doctor, json_t *section)
{
	struct aur_survey survey;
	if (!aur_backend_survey("cuda", &survey))
		return;
	add_found(section, "driver_for", survey.driver[0] != '\0', survey.driver);
	aur_describe_text(section, "built_with", survey.runtime);
	add_libraries(doctor, section, &survey);
	/* Opening NCCL says what is wrong with it: only where it matters. */
	if (survey.n_devices > 0)
		add_nccl(doctor, section, survey.n_devices);
	add_access(doctor, section, &survey);
	for (int i = 0; i < survey.n_devices && i < AUR_SURVEY_DEVICES; i++)
		add_device(section, &survey.devices[i]);
	if (survey.why[0])
		MISSING(doctor, "GPU: %s", survey.why);
}

static void examine_gpus(struct doctor *doctor)
{
	char driver[256], path[PATH_BYTES];
	json_t *section = aur_report_section(doctor->report, "gpus");
	const int gpus = aur_machine_gpus(driver, sizeof driver);
	aur_describe_integer(section, "nvidia", gpus);
	add_found(section, "driver", driver[0] != '\0', driver);
	add_found(section, "cuda_library", aur_machine_find_library("libcuda.so*", path, sizeof path), path);
	add_found(section, "nccl", aur_machine_find_library("libnccl.so*", path, sizeof path), path);
	const int compiled_in = strstr(AUR_BACKENDS, "cuda") != NULL;
	json_object_set_new(section, "compiled_in", json_boolean(compiled_in));
	survey_gpus(doctor, section);
	if (gpus > 0 && !compiled_in)
		MISSING(doctor,
			"GPU: this machine has %d, but this program was built without CUDA (build it where nvcc of CUDA 12.4 or "
			"newer is found, with -DAURELIUS_CUDA=ON)",
			gpus);
	else if (gpus == 0 && !compiled_in)
		MISSING(doctor, "GPU: no NVIDIA driver is loaded (/proc/driver/nvidia is not there); aurelius computes on the "
						"CPU here");
}

static void examine_mpi(struct doctor *doctor)
{
	char path[PATH_BYTES];
	const struct aur_command_context *context = doctor->context;
	json_t *section = aur_report_section(doctor->report, "mpi");
	const int launched = context->world && strcmp(context->world->name, "mpi") == 0;
	aur_describe_text(section, "library", context->mpi_library ? context->mpi_library : "unknown");
	const int mpirun = aur_machine_find_program("mpirun", path, sizeof path);
	add_found(section, "mpirun", mpirun, path);
	json_object_set_new(section, "started_by_mpi", json_boolean(launched));
	aur_describe_integer(section, "ranks", context->size);
	const int shares = launched && aur_comm_can_share(context->world);
	json_object_set_new(section, "shared_memory", json_boolean(shares));
	if (launched)
		USED(doctor, "communication: MPI between %d rank%s%s", context->size, context->size > 1 ? "s" : "",
			shares ? "; on a CPU gradients and weights lie in memory that they share" : "");
	else
		USED(doctor, "communication: none, one rank (mpirun -np N aurelius train ... starts several)");
	if (!mpirun && !launched)
		MISSING(doctor, "mpirun: it starts several ranks (apt-get install openmpi-bin)");
}

static void examine_software(struct doctor *doctor)
{
	char version[64], path[PATH_BYTES];
	int safe = 0;
	json_t *section = aur_report_section(doctor->report, "software");
	aur_describe_text(section, "aurelius", AUR_VERSION " (commit " AUR_COMMIT ")");
	aur_hdf5_version(version, sizeof version, &safe);
	aur_describe_text(section, "hdf5", version);
	json_object_set_new(section, "hdf5_thread_safe", json_boolean(safe));
	const int gnuplot = aur_machine_find_program("gnuplot", path, sizeof path);
	add_found(section, "gnuplot", gnuplot, path);
	if (!safe)
		MISSING(doctor, "thread-safe HDF5: this build is not; calls go through one lock, so that nothing breaks "
						"(apt-get install libhdf5-dev has one that is)");
	if (!gnuplot)
		MISSING(doctor, "gnuplot: curves are not drawn without it (apt-get install gnuplot-nox)");
}

/* The folder we stand in, where runs would be written. */
static void examine_disk(struct doctor *doctor)
{
	struct statvfs file_system;
	double rate = 0;
	json_t *section = aur_report_section(doctor->report, "disk");
	aur_describe_text(section, "folder", ".");
	if (statvfs(".", &file_system) == 0) {
		const double free_gb = (double)file_system.f_bavail * (double)file_system.f_frsize * 1e-9;
		aur_report_rounded(section, "free_gb", free_gb, 4);
		if (free_gb < enough_disk_gb) {
			MISSING(doctor, "disk: %.2f GB are free here, a checkpoint takes 12 bytes a parameter", free_gb);
			return;
		}
	}
	if (aur_ceiling_disk(".", disk_bytes, &rate) == AUR_OK) {
		aur_report_rounded(section, "write_and_fsync_mb_per_s", rate * 1e-6, 4);
		return;
	}
	MISSING(doctor, "disk: %s (runs are written to --run, which may lie elsewhere)", aur_error_message());
	aur_error_clear();
}

static aur_status examine(struct doctor *doctor)
{
	aur_machine_read(&doctor->machine);
	doctor->threads = aur_ceiling_threads(0);
	examine_processor(doctor);
	AUR_TRY(examine_backend(doctor));
	examine_gpus(doctor);
	examine_mpi(doctor);
	examine_software(doctor);
	examine_disk(doctor);
	json_object_update(doctor->report, doctor->advice);
	return AUR_OK;
}

static aur_status run(const struct aur_command_context *context, int json)
{
	struct doctor doctor = {.context = context, .report = json_object(), .advice = json_object()};
	/* Their order is that of the report. */
	json_object_set_new(doctor.advice, "will_be_used", json_array());
	json_object_set_new(doctor.advice, "missing", json_array());
	aur_status status = AUR_OK;
	if (!doctor.report || !doctor.advice)
		status = aur_fail(AUR_MEMORY, "no memory for a report");
	if (status == AUR_OK)
		status = examine(&doctor);
	if (status == AUR_OK)
		status = aur_report_print(doctor.report, json);
	json_decref(doctor.advice);
	json_decref(doctor.report);
	return status;
}

aur_status aur_command_doctor(const struct aur_command_context *context, int argc, char **argv)
{
	int json = 0;
	const struct aur_option table[] = {
		{"json", AUR_OPTION_FLAG, &json, NULL, "print one JSON object", 0},
	};
	struct aur_options options = {.usage = "doctor [--json]",
		.about =
			"Says what this machine has, how fast it is (measured now, in about two seconds), what a training here\n"
			"would use, and what is missing.",
		.options = table,
		.n_options = sizeof table / sizeof *table,
		.argument = "nothing",
		.most_arguments = 0,
		.notes = "It writes up to 64 MB into the current folder, for its speed, and leaves nothing there."};
	aur_status status;
	AUR_TRY_CLEANUP(aur_options_parse(&options, argc, argv));
	if (!options.help)
		status = run(context, json);
cleanup:
	aur_options_clear(&options);
	return status;
}
