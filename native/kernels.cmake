# The library of all that is native but what Python sees: its sources, and how each is compiled.
set(TOWNSFOLK_SANITIZE "" CACHE STRING "Sanitizers to build it and what links it with, as in -fsanitize=")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
find_package(Threads REQUIRED)

set(src "${CMAKE_CURRENT_LIST_DIR}/src")
set(sources activations decoder decoder_attention dispatch gguf_blocks kernels_portable kv_store large_pages
    thread_pool weights)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND sources kernels_amx kernels_avx2 kernels_avx512)
  set_source_files_properties("${src}/kernels_avx2.cpp" PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
  # GCC 12 takes the undefined registers of its own AVX-512 header for uninitialised variables.
  set_source_files_properties("${src}/kernels_amx.cpp" "${src}/kernels_avx512.cpp" PROPERTIES COMPILE_OPTIONS
    "-mavx512f;-mavx512bw;-mavx512vl;-mavx512vnni;-mfma;-mf16c;-Wno-uninitialized;-Wno-maybe-uninitialized")
  set(target_macro TOWNSFOLK_X86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
  list(APPEND sources kernels_dotprod kernels_neon)
  set_source_files_properties("${src}/kernels_dotprod.cpp" PROPERTIES COMPILE_OPTIONS "-march=armv8.2-a+dotprod")
  set(target_macro TOWNSFOLK_ARM64)
endif()
list(TRANSFORM sources PREPEND "${src}/")
list(TRANSFORM sources APPEND .cpp)

add_library(townsfolk_kernels STATIC ${sources})
set_target_properties(townsfolk_kernels PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_include_directories(townsfolk_kernels PUBLIC "${src}")
target_link_libraries(townsfolk_kernels PUBLIC Threads::Threads)
# A product and a sum are fused only where the source says so: else a row could come out differently when
# another number of rows is computed with it.
target_compile_options(townsfolk_kernels PRIVATE -Wall -Wextra -ffp-contract=off)
target_compile_definitions(townsfolk_kernels PRIVATE ${target_macro})
if(TOWNSFOLK_SANITIZE)
  target_compile_options(townsfolk_kernels PUBLIC -fsanitize=${TOWNSFOLK_SANITIZE}
                         -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g)
  target_link_options(townsfolk_kernels PUBLIC -fsanitize=${TOWNSFOLK_SANITIZE})
endif()
